"""The report of a model: its card as a page of HTML with plots, no request to anywhere."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from drugpred import codebook
from drugpred.training.estimators import cumulative_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from drugpred.bundle import Card
    from drugpred.training.evaluation import Evaluation

__all__ = ["render"]

_DECADE: Final = codebook.WINDOWS.index("decade")
_BLUE, _ORANGE = "#0072b2", "#d55e00"  # of Okabe and Ito's palette, which the colour-blind can tell apart


def render(card: Card, evaluation: Evaluation) -> dict[str, bytes]:
    """Return the report's files by name: index.html, roc.png and calibration.png.

    The plots show cross-validated probabilities of use within a decade.
    """
    page = Environment(loader=PackageLoader("drugpred.training", "."), autoescape=True).get_template("report.html")
    return {
        "index.html": page.render(card=card, shown=("decade", "year")).encode(),
        "roc.png": _plot(evaluation, _roc, "false positive rate", "true positive rate"),
        "calibration.png": _plot(evaluation, _calibration, "predicted probability", "share of users"),
    }


def _roc(axes: Axes, truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> None:
    for repeat in probabilities:
        false_positives, true_positives, _ = roc_curve(truth, repeat)
        axes.plot(false_positives, true_positives, color=_BLUE, linewidth=1)


def _calibration(axes: Axes, truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> None:
    for repeat in probabilities:
        bins = np.array_split(np.argsort(repeat), 10)
        said, found = ([float(values[b].mean()) for b in bins] for values in (repeat, truth))
        axes.plot(said, found, ".", color=_ORANGE, markersize=5)


def _plot(
    evaluation: Evaluation, draw: Callable[[Axes, NDArray[np.bool_], NDArray[np.float64]], None], x: str, y: str
) -> bytes:
    """Return a PNG with a panel for each drug."""
    truth = cumulative_targets(evaluation.last_use)[:, :, _DECADE]
    style: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(8, 14), layout="constrained")
        panels = figure.subplots(6, 3, sharex=True, sharey=True)
        for i, (panel, drug) in enumerate(zip(panels.flat, codebook.DRUGS, strict=True)):
            panel.set_title(drug.replace("_", " "), fontsize=10)
            panel.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
            draw(panel, truth[:, i], evaluation.probabilities[:, :, i, _DECADE])
        figure.supxlabel(x)
        figure.supylabel(y)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
