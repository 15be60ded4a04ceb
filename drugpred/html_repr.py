"""Bars as HTML, for the `_repr_html_` of what notebooks show: self-contained, without a script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# The colours of the page at /app. Jupyter's own theme, if it has one, decides between light and dark.
_DARK: Final = "--drugpred-blue: #5cb3e6; --drugpred-ink: #e8eaed; --drugpred-muted: #a8b0b9; --drugpred-track: #2b3037"
_LIGHT: Final = (
    "--drugpred-blue: #0b6ba8; --drugpred-ink: #1b1e22; --drugpred-muted: #555c64; --drugpred-track: #e7eaed"
)
_STYLE: Final = f"""
.drugpred {{ {_LIGHT}; max-width: 44rem; color: var(--drugpred-ink); font: .875rem/1.4 system-ui, sans-serif; }}
@media (prefers-color-scheme: dark) {{ .drugpred {{ {_DARK} }} }}
[data-jp-theme-light=true] .drugpred {{ {_LIGHT} }}
[data-jp-theme-light=false] .drugpred {{ {_DARK} }}
.drugpred p {{ margin: .25rem 0; color: var(--drugpred-muted); }}
.drugpred p:first-of-type {{ color: inherit; font-weight: 600; }}
.drugpred div {{ display: grid; grid-template-columns: 9rem 1fr 3rem 5.5rem; gap: .2rem .6rem; align-items: center; }}
.drugpred b {{ font-weight: 600; text-align: right; font-variant-numeric: tabular-nums; }}
.drugpred small {{ color: var(--drugpred-muted); }}
.drugpred i {{ position: relative; height: .8rem; background: var(--drugpred-track); border-radius: .15rem; }}
.drugpred s {{ position: absolute; inset: 0 auto 0 0; background: var(--drugpred-blue); border-radius: .15rem; }}
.drugpred .pale s {{ opacity: .45; }}
.drugpred u {{ position: absolute; top: -.15rem; bottom: -.15rem; width: .15rem; background: var(--drugpred-ink); }}
""".strip()


class Bar(NamedTuple):
    """One bar, its name before it and figures after it."""

    name: str
    value: float
    """From 0 to 1."""
    figure: str
    note: str
    pale: bool
    mark: float | None = None
    """Where a line crosses it, from 0 to 1."""


def bars(title: str, rows: Sequence[Bar], note: str) -> str:
    """Return bars below a title and above a note, as an HTML fragment."""
    drawn = "".join(
        f"<span>{escape(row.name)}</span>"
        f'<i{" class=pale" * row.pale} aria-hidden="true"><s style="width: {100 * row.value:.1f}%"></s>'
        + (f'<u style="left: {100 * row.mark:.1f}%"></u>' if row.mark is not None else "")
        + f"</i><b>{escape(row.figure)}</b><small>{escape(row.note)}</small>"
        for row in rows
    )
    text = f"<p>{escape(title)}</p><div>{drawn}</div><p>{escape(note)}</p>"
    return f'<div class="drugpred"><style>{_STYLE}</style>{text}</div>'
