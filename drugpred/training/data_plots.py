"""Pictures of the respondents, as SVG: those of the report's section "The data" and of the notebook.

They show shares of several respondents, never a single one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from drugpred.codebook import CATEGORIES, DRUGS, LAST_USE_LABELS, SCORES, display_name
from drugpred.training.fairness import MIN_PER_OUTCOME, MIN_SHOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

_WIDTH: Final = 340  # of a picture: as many units as a phone has pixels, so that text is legible there
_LABELS: Final = 116  # the left edge right of the row labels
_MAX_LABEL: Final = 30  # characters

_EDGES: Final = np.linspace(-2.1, 2.1, 7)  # of bins of scores, the outer ones open: several respondents are in each
_MOST: Final = 0.6  # of a group in a bin, the end of its axis
_STRENGTHS: Final = (0.0, 0.14, 0.28, 0.44, 0.62, 0.8, 1.0)  # of the colour of each class of last use


@dataclass(frozen=True)
class Picture:
    """A drawing, as part of a page that has the styles of `pictures.css`, or alone in a notebook.

    Attributes
    ----------
    label : str
        The text for those who cannot see the picture.
    width, height : int
    body : str
        Elements of SVG.
    """

    label: str
    width: int
    height: int
    body: str = field(repr=False)

    def __html__(self) -> str:
        """Return it for a template."""
        return self._svg('class="wide"', self.body)

    def _repr_svg_(self) -> str:
        """Return it for a notebook, with its styles and a background."""
        style = (files("drugpred.training") / "templates" / "pictures.css").read_text(encoding="utf-8")
        background = f'<rect class="paper" width="{self.width}" height="{self.height}"/>'
        size = f'xmlns="http://www.w3.org/2000/svg" width="{self.width * 3 // 2}" height="{self.height * 3 // 2}"'
        return self._svg(size, f"<style>{style}</style>{background}{self.body}")

    def _svg(self, attributes: str, content: str) -> str:
        box = f'viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.label)}"'
        return f"<svg {attributes} {box}>{content}</svg>"


def people(data: pd.DataFrame) -> Picture:
    """Draw the share of respondents at each level of the five categories.

    Parameters
    ----------
    data : pandas.DataFrame
        As of `drugpred.load_data`, here and below.
    """
    left, right = 200.0, 300.0
    body, y = [], 0.0
    for category in CATEGORIES:
        y += 18
        body.append(_text(0, y, category.name, "name"))
        counts = data[category.name].value_counts().reindex(category.labels)
        for label, count in counts.items():
            y += 15
            share = count / len(data)
            short = str(label) if len(str(label)) <= _MAX_LABEL else f"{str(label)[:_MAX_LABEL]}…"
            body.append(_text(left - 6, y, short, "end"))
            if count < MIN_SHOWN:
                body.append(_text(left, y, f"under {MIN_SHOWN} people"))
                continue
            width = share * (right - left)
            body += [_rect(left, y - 9, width, 11, "bar"), _text(left + width + 4, y, f"{share:.0%}")]
    return Picture("Share of respondents at each level of the five categories", _WIDTH, int(y) + 6, "".join(body))


def use(data: pd.DataFrame) -> Picture:
    """Draw when each drug was last used, as shares of the respondents, from the most used to the least."""
    codes = data[list(DRUGS)].apply(lambda column: column.cat.codes)
    order = (codes >= 1).mean().sort_values(ascending=False, kind="stable").index
    body, scale = [], _WIDTH - _LABELS - 4.0
    for i, (label, strength) in enumerate(zip(LAST_USE_LABELS, _STRENGTHS, strict=True)):
        left, line = 4 + 84 * (i % 4), 12 + 15 * (i // 4)
        body += [
            _tile(left, line - 9, 10, strength),
            _text(left + 14, line, label.replace("over a decade ago", "earlier")),
        ]
    y = 34.0
    for drug in order:
        y += 16
        body.append(_text(_LABELS - 6, y, display_name(str(drug)), "end"))
        ends = scale * np.bincount(codes[drug], minlength=len(LAST_USE_LABELS)).cumsum() / len(data)
        for start, end, strength in zip([0.0, *ends], ends, _STRENGTHS, strict=False):
            body.append(_tile(_LABELS + start, y - 10, end - start, strength, 12))
    return Picture("When each drug was last used, as shares of the respondents", _WIDTH, int(y) + 8, "".join(body))


def scores_by_use(data: pd.DataFrame, drug: str) -> Picture:
    """Draw the distribution of the seven scores among users of a drug within a decade, and among others."""
    used = data[drug] >= "last decade"
    groups = [("users", used), ("others", ~used)]
    body = []
    for i, score in enumerate(SCORES):
        left, top = 32 + 168 * (i % 2), 20 + 112 * (i // 2)
        body.append(_text(left, top - 6, display_name(score.name), "name"))
        body.append(f'<path class="axis" d="M{left} {top}V{top + 70}H{left + 136}"/>')
        body += [_text(left + 68 + 17 * tick / 0.7, top + 82, f"{tick:g}", "middle") for tick in (-2.1, 0.0, 2.1)]
        body += [_text(left - 3, top + 8, f"{_MOST:.0%}", "end"), _text(left - 3, top + 70, "0", "end")]
        for name, members in groups:
            if members.sum() >= MIN_PER_OUTCOME:
                bins = np.digitize(data.loc[members, score.name], _EDGES)
                shares = np.bincount(bins, minlength=len(_EDGES) + 1) / members.sum()
                steps = np.repeat(np.linspace(left, left + 136, len(shares) + 1), 2)[1:-1]
                heights = np.repeat(top + 70 - 70 * np.minimum(shares / _MOST, 1.0), 2)
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(steps, heights, strict=True))
                body.append(f'<polyline class="line {name}" points="{points}"/>')
    for i, (name, _) in enumerate(groups):
        y = 392 + 18 * i
        body += [f'<path class="line {name}" d="M200 {y - 4}H228"/>', _text(234, y, f"{name}, {display_name(drug)}")]
    label = f"Distribution of the seven scores among users and others of {display_name(drug)} within a decade"
    return Picture(label, _WIDTH, 444, "".join(body))


def differences(data: pd.DataFrame) -> Picture:
    """Draw how far users' mean scores are from those of others, in standard deviations (Cohen's d), within a decade."""
    values = np.full((len(DRUGS), len(SCORES)), np.nan)
    scores = data[[score.name for score in SCORES]].to_numpy(np.float64)
    for i, drug in enumerate(DRUGS):
        used = (data[drug] >= "last decade").to_numpy()
        if MIN_PER_OUTCOME <= used.sum() <= len(data) - MIN_PER_OUTCOME:
            squares = [((group - group.mean(0)) ** 2).sum(0) for group in (scores[used], scores[~used])]
            deviation = np.sqrt(sum(squares) / (len(data) - 2))
            values[i] = (scores[used].mean(0) - scores[~used].mean(0)) / deviation
    return heat_map(
        "Difference of users' mean scores from those of others, in standard deviations",
        DRUGS,
        [score.name for score in SCORES],
        values,
    )


def co_use(data: pd.DataFrame) -> Picture:
    """Draw which drugs the same people use: correlation (phi) of use within a decade, similar drugs side by side.

    Drugs are clustered by average linkage of 1 - phi, in the order of leaves that keeps similar ones close
    (Z. Bar-Joseph et al., Bioinformatics 17 (2001), S22-S29).
    """
    used = (data[list(DRUGS)].apply(lambda column: column.cat.codes) >= 2).to_numpy(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = np.nan_to_num(np.corrcoef(used.T))  # 0 where everybody or nobody uses a drug
    distance = (1 - phi).clip(0)
    np.fill_diagonal(distance, 0)
    tree = dendrogram(linkage(squareform(distance, checks=False), "average", optimal_ordering=True), no_plot=True)
    order = tree["leaves"]
    np.fill_diagonal(phi, np.nan)
    names = [DRUGS[i] for i in order]
    cells = heat_map(
        "Correlation of the use of drugs within a decade", names, names, phi[np.ix_(order, order)], figures=False
    )
    side = (_WIDTH - _LABELS - 4) / len(DRUGS)
    branches = []
    for x, y in zip(tree["icoord"], tree["dcoord"], strict=True):
        # scipy's leaves are 10 apart, the first at 5.
        points = [(_LABELS + a / 10 * side, 36 - 32 * min(b, 1.0)) for a, b in zip(x, y, strict=True)]
        branches.append(f'<polyline class="branch" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>')
    return Picture(cells.label, cells.width, cells.height, "".join(branches) + cells.body)


def heat_map(
    label: str, rows: Sequence[str], columns: Sequence[str], values: ArrayLike, *, figures: bool = True
) -> Picture:
    """Draw a table of numbers, orange above zero and blue below.

    Parameters
    ----------
    label : str
    rows, columns : sequence of str
        Names of inputs or drugs.
    values : array_like of shape (rows, columns)
        The largest has the full colour; NaN has none.
    figures : bool
        Whether to write the numbers into the cells.
    """
    top, side = 6.0 if figures else 40.0, (_WIDTH - _LABELS - 4) / len(columns)
    height = min(side, 16.0)
    numbers = np.asarray(values, np.float64)
    largest = np.nan_to_num(np.abs(numbers)).max() or 1.0
    body = []
    for i, row in enumerate(rows):
        y = top + i * height
        body.append(_text(_LABELS - 4, y + height / 2 + 4, display_name(row), "end"))
        for j, value in enumerate(numbers[i].tolist()):
            x = _LABELS + j * side
            kind = "more" if value > 0 else "less"
            if np.isfinite(value):
                # Paler below figures, which have to be read.
                strength = abs(value) / largest * (0.65 if figures else 1.0)
                body.append(_rect(x, y, side - 1, height - 1, kind, strength))
            if figures:
                body.append(
                    _text(x + side / 2, y + height / 2 + 4, f"{value:z.1f}" if np.isfinite(value) else "-", "middle")
                )
    bottom = top + len(rows) * height + 6
    if not figures:
        body += [_text(0, bottom + 20, "full colour:"), _text(0, bottom + 35, f"{largest:.2f}")]
    for j, column in enumerate(columns):
        x = _LABELS + (j + 0.5) * side + 4
        name = escape(display_name(column))
        body.append(f'<text class="end" transform="rotate(-90)" x="{-bottom:.1f}" y="{x:.1f}">{name}</text>')
    return Picture(label, _WIDTH, int(bottom) + 114, "".join(body))


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str, strength: float = 1.0) -> str:
    opacity = f' fill-opacity="{strength:.2f}"' if strength < 1 else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {box}{opacity}/>'


def _tile(x: float, y: float, width: float, strength: float, height: float = 10) -> str:
    """Return a part of a stacked bar: without colour is the ground."""
    return _rect(x, y, width, height, "less" if strength else "ground", strength or 1.0)
