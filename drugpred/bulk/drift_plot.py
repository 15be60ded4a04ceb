"""A plot of drift: the share of each bin among the profiles, next to that of the training data."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred.bulk.drift import MEANING, verdict
from drugpred.data.files import open_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from drugpred.bulk.drift import Measured
    from drugpred.model_store import Bins, Card
    from drugpred.schemas import Shift

PICTURES: Final = (".html", ".svg")  # formats, by file name ending

_ACROSS: Final = 4
_WIDTH: Final = 330  # of a panel
_MARGIN: Final = 12
_TOP: Final = 92  # y of the first panels
_HEAD: Final = 46  # of a panel
_ROW: Final = 17
_BARS: Final = (118, 122)  # x of the bars, and length of the longest
_LABEL: Final = 18  # characters that fit next to a bar

_STYLE: Final = (
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b1e22;--muted:#555c64;"
    "--then:#a3abb3;--now:#0b6ba8;--moved:#b34700}"
    "@media(prefers-color-scheme:dark)"
    "{:root{--paper:#121417;--ink:#e8eaed;--muted:#a8b0b9;--then:#6b747d;--now:#5cb3e6;--moved:#f0a24a}}"
    "text{font:11px system-ui,sans-serif;fill:var(--ink)}.title{font-size:15px;font-weight:bold}"
    ".muted{fill:var(--muted)}"
    ".name{font-size:13px;font-weight:bold}.label{text-anchor:end}.paper{fill:var(--paper)}"
    ".then{fill:var(--then)}.now{fill:var(--now)}.moved{fill:var(--moved)}"
)
_PAGE: Final = (
    "body{margin:0 auto;max-width:90rem;padding:1rem;background:var(--paper);color:var(--ink);"
    "font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}h1{margin:0;font-size:1.25rem}"
    "p{max-width:50rem;margin:.5rem 0}"
    "a{color:var(--now)}.verdict{font-size:1.125rem;font-weight:600}.legend{width:24rem;max-width:100%;display:block}"
    ".panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));"
    "gap:1.25rem 1rem;margin-top:1rem}"
    ".panels svg{width:100%;max-width:26rem}"
)


class _Panel(NamedTuple):
    name: str
    bins: Bins
    counts: Sequence[float]
    shift: Shift
    drifted: bool
    note: str

    @property
    def height(self) -> int:
        return _HEAD + _ROW * (len(self.bins.labels) + bool(self.note)) + _MARGIN


def write(output: Path, title: str, card: Card, measured: Measured) -> None:
    """Write the plot, as HTML or SVG by the file name's ending.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    drawing = page if output.suffix.lower() == ".html" else draw
    with open_output(output) as file:
        file.write(drawing(title, card, measured).encode())


def page(title: str, card: Card, measured: Measured) -> str:
    """Return the plot as a page that fits any width."""
    anchors = [f'<a href="#{escape(name)}">{escape(name)}</a>' for name in measured.moved]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}{_PAGE}</style></head>",
            f'<body><main><h1>{escape(title)}</h1>\n<p class="verdict">{verdict(measured, anchors)}</p>',
            f"<p>{MEANING}</p>",
            f'<svg class="legend" viewBox="0 0 400 20" role="img" aria-label="Colours">{"".join(_legend(0, 14))}</svg>',
            '<div class="panels">',
            *(
                f'<svg id="{escape(panel.name)}" viewBox="0 0 {_WIDTH} {panel.height}" role="group" '
                f'aria-label="{escape(panel.name)}">{"".join(_drawn(panel, 0, 0))}</svg>'
                for panel in _panels(card, measured)
            ),
            "</div></main></body></html>\n",
        ]
    )


def draw(title: str, card: Card, measured: Measured) -> str:
    """Return the plot as SVG."""
    drawn: list[str] = []
    panels, y = _panels(card, measured), _TOP
    for start in range(0, len(panels), _ACROSS):
        row = panels[start : start + _ACROSS]
        for i, panel in enumerate(row):
            drawn += _drawn(panel, i * _WIDTH + _MARGIN, y)
        y += max(panel.height for panel in row) + _MARGIN
    width = _ACROSS * _WIDTH + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{width}" height="{y}"/>',
            f'<text class="title" x="{_MARGIN}" y="24">{escape(title)}</text>',
            f'<text class="verdict" x="{_MARGIN}" y="44">{escape(verdict(measured, measured.moved))}</text>',
            f'<text class="muted" x="{_MARGIN}" y="62">{MEANING}</text>',
            *_legend(_MARGIN, 82),
            *drawn,
            "</svg>\n",
        ]
    )


def _panels(card: Card, measured: Measured) -> list[_Panel]:
    bins = card.input_bins | {f"P({drug})": drug_bins for drug, drug_bins in card.probability_bins.items()}
    counts = measured.inputs | {f"P({drug})": drug_counts for drug, drug_counts in measured.scores.items()}
    return [
        _Panel(name, bins[name], counts[name], shift, name in measured.moved, str(measured.gaps.get(name, "")))
        for name, shift in measured.shifts.items()
    ]


def _legend(x: int, y: int) -> Iterator[str]:
    for i, (kind, meaning) in enumerate(
        (("then", "training data"), ("now", "profiles"), ("moved", "profiles, drifted"))
    ):
        yield f'<rect class="{kind}" x="{x + 130 * i}" y="{y - 9}" width="10" height="10"/>'
        yield f'<text x="{x + 130 * i + 15}" y="{y}">{meaning}</text>'


def _drawn(panel: _Panel, x: int, y: int) -> Iterator[str]:
    total = sum(panel.counts)
    shares = [count / total if total else 0.0 for count in panel.counts]
    longest = max(*shares, *panel.bins.shares)
    left, length = _BARS
    yield f'<text class="name" x="{x}" y="{y + 14}">{escape(panel.name)}</text>'
    if panel.shift.psi is not None:
        verb = "drifted" if panel.drifted else "no drift"
        figures = f"{verb}: PSI {panel.shift.psi:.4f}, threshold {panel.shift.threshold:.4f}"
        yield f'<text class="muted" x="{x}" y="{y + 31}">{figures}</text>'
    for i, (label, then, now) in enumerate(zip(panel.bins.labels, panel.bins.shares, shares, strict=True)):
        top = y + _HEAD + _ROW * i
        shown = _shown(label, percent=panel.name.startswith("P("))
        yield f"<g><title>{escape(label)}: training {then:.1%}, profiles {now:.1%}</title>"
        yield f'<text class="label" x="{x + left - 6}" y="{top + 9}">{escape(shown)}</text>'
        for j, (kind, share) in enumerate((("then", then), ("moved" if panel.drifted else "now", now))):
            wide = share / longest * length
            yield f'<rect class="{kind}" x="{x + left}" y="{top + 6 * j}" width="{wide:.1f}" height="6"/>'
        yield f'<text x="{x + left + length + 8}" y="{top + 9}">{then:.0%} \u2192 {now:.0%}</text></g>'
    if panel.note:
        yield f'<text class="note" x="{x}" y="{y + _HEAD + _ROW * len(shares) + 9}">{escape(panel.note)}</text>'


def _shown(label: str, *, percent: bool) -> str:
    """Return the label of a bin, short enough for its place."""
    if label[0] in "<>" and label[1:].lstrip("=-").replace(".", "").isdigit():
        sign, bound = ("\u2264", float(label[2:])) if label.startswith("<=") else (">", float(label[1:]))
        return f"{sign} {100 * bound:.3g}%" if percent else f"{sign} {bound:.2f}".replace("-", "\u2212")
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}\u2026"
