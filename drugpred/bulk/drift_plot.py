"""A plot of drift: the share of each bin among the profiles, next to that of the training data."""

from __future__ import annotations

from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Final

from drugpred.data.files import open_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from drugpred.bulk.drift import Measured
    from drugpred.model_store import Bins, Card
    from drugpred.schemas import Shift

PICTURES: Final = (".html", ".svg")  # formats, by file name ending

_ACROSS: Final = 5
_WIDTH: Final = 210
_HEIGHT: Final = 140
_MARGIN: Final = 10
_TOP: Final = 62  # y of the legend
_BARS: Final = 84  # height of the highest bar

_STYLE: Final = (
    "text{font:11px sans-serif;fill:#222}.title{font-size:15px}.name{font-weight:bold}"
    ".then{fill:#b5b5b5}.now{fill:#2b6cb0}.moved{fill:#c2410c}"
)


def write(output: Path, title: str, card: Card, measured: Measured) -> None:
    """Write the plot, as HTML or SVG by the file name's ending.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    picture = draw(title, card, measured)
    if output.suffix.lower() == ".html":
        picture = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(title)}</title></head>\n<body>\n{picture}</body></html>\n"
        )
    with open_output(output) as file:
        file.write(picture.encode())


def draw(title: str, card: Card, measured: Measured) -> str:
    """Return the plot as SVG."""
    bins = card.input_bins | {f"P({drug})": drug_bins for drug, drug_bins in card.probability_bins.items()}
    counts = measured.inputs | {f"P({drug})": drug_counts for drug, drug_counts in measured.scores.items()}
    panels = [
        (name, bins[name], counts[name], shift, str(measured.gaps.get(name, "")))
        for name, shift in measured.shifts.items()
    ]
    width, height = _ACROSS * _WIDTH, _TOP + -(-len(panels) // _ACROSS) * _HEIGHT
    drawn = chain.from_iterable(
        _panel(i % _ACROSS * _WIDTH + _MARGIN, i // _ACROSS * _HEIGHT + _TOP, *panel) for i, panel in enumerate(panels)
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text class="title" x="{_MARGIN}" y="24">{escape(title)}</text>',
            *_legend(),
            *drawn,
            "</svg>\n",
        ]
    )


def _legend() -> Iterator[str]:
    for i, (kind, meaning) in enumerate(
        (("then", "training data"), ("now", "profiles"), ("moved", "profiles, drifted"))
    ):
        x = _MARGIN + 160 * i
        yield f'<rect class="{kind}" x="{x}" y="36" width="10" height="10"/><text x="{x + 15}" y="45">{meaning}</text>'


def _panel(x: int, y: int, name: str, bins: Bins, counts: Sequence[float], shift: Shift, note: str) -> Iterator[str]:
    total = sum(counts)
    shares = [count / total if total else 0.0 for count in counts]
    highest = max(*shares, *bins.shares)
    step = (_WIDTH - 2 * _MARGIN) / len(shares)
    base = y + _BARS + 32
    yield f'<text class="name" x="{x}" y="{y + 12}">{escape(name)}</text>'
    if shift.psi is not None:
        yield f'<text x="{x}" y="{y + 25}">{shift.psi:.4f}, drift above {shift.threshold:.4f}</text>'
    for i, (label, then, now) in enumerate(zip(bins.labels, bins.shares, shares, strict=True)):
        yield f"<g><title>{escape(label)}: training {then:.1%}, profiles {now:.1%}</title>"
        for j, (kind, share) in enumerate((("then", then), ("moved" if shift.drifted else "now", now))):
            high = share / highest * _BARS
            yield (
                f'<rect class="{kind}" x="{x + (i + 0.43 * j + 0.07) * step:.1f}" y="{base - high:.1f}" '
                f'width="{0.43 * step:.1f}" height="{high:.1f}"/>'
            )
        yield "</g>"
    yield f'<path d="M{x} {base}h{_WIDTH - 2 * _MARGIN}" stroke="#888"/>'
    if note:
        yield f'<text class="note" x="{x}" y="{base + 14}">{escape(note)}</text>'
