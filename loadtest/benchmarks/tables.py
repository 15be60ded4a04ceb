"""Tables of measurements."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.benchmarks.generators import Measured

    Results = Mapping[str, Sequence[Measured]]
    """The rounds of each target by title; without those that failed."""
    Shown = Mapping[str, tuple[int, int]]
    """Width and decimals of each figure: requests/s, profiles/s (of batches of 1000), p50 ms, ratio, wrk cores."""

REQUESTS: Final = {"requests/s": (14, 0), "p50 ms": (9, 2), "ratio": (7, 2)}
BATCHES: Final = {"profiles/s": (14, 0), "p50 ms": (9, 2)}
WORKERS: Final = REQUESTS | {"wrk cores": (11, 2)}


def table(titles: Sequence[str], columns: Mapping[str, Results], measure: str, shown: Shown) -> str:
    """Return a table of medians over the rounds.

    Parameters
    ----------
    titles : sequence of str
        Titles of the rows; a target that failed has dashes.
    columns : mapping of str to results
        Measurements by the heading of the column.
    measure : str
        Title of the row that ratios are relative to: a ratio is the median of the ratios within each round.
    shown : Shown
        Figures of each column.
    """
    first = max(map(len, titles))
    width = sum(places for places, _ in shown.values())
    lines = [
        " " * first + "".join(f"{heading:>{width}}" for heading in columns),
        " " * first + "".join(f"{name:>{places}}" for name, (places, _) in shown.items()) * len(columns),
    ]
    for title in titles:
        cells = ""
        for results in columns.values():
            figures = _figures(results[title], results.get(measure, ())) if title in results else {}
            for name, (places, decimals) in shown.items():
                cells += f"{figures[name]:{places}.{decimals}f}" if name in figures else f"{'-':>{places}}"
        lines.append(f"{title:{first}}{cells}")
    return "\n".join(lines)


def _figures(rounds: Sequence[Measured], measure: Sequence[Measured]) -> dict[str, float]:
    rate = median(one.rate for one in rounds)
    figures = {
        "requests/s": rate,
        "profiles/s": rate * 1000,
        "p50 ms": median(one.milliseconds for one in rounds),
        "wrk cores": median(one.cores for one in rounds),
    }
    if measure:
        figures["ratio"] = median(one.rate / other.rate for one, other in zip(rounds, measure, strict=True))
    return figures
