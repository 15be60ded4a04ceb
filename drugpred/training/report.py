"""The report of a model: its card as a self-contained HTML page with plots, and its metrics as CSV."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader

from drugpred import codebook
from drugpred.data.labelled import labelled
from drugpred.model_store import WindowCard
from drugpred.training import coverage, data_plots, fairness, global_explanation, laplace, partial_dependence, plots
from drugpred.training.classification_metrics import METRICS
from drugpred.training.estimators import cumulative_targets
from drugpred.training.experiment import CURVE
from drugpred.training.published_results import PUBLISHED, WHY_OPTIMISTIC
from drugpred.training.tables import flatten, to_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from drugpred.explanation import Explainer
    from drugpred.model_store import Card
    from drugpred.training.evaluation import Evaluation
    from drugpred.training.partial_dependence import Effect
    from drugpred.uncertainty import Uncertainty

    Floats = NDArray[np.float64]


_SECTIONS: Final = {
    "use": "Use and cautions",
    "data": "The data",
    "overall": "Overall",
    "drugs": "By drug",
    "confusion": "Confusion at the threshold",
    "learning": "Learning curve",
    "roc": "ROC curves, decade",
    "precision": "Precision and recall, decade",
    "reliability": "Reliability, decade",
    "intervals": "Intervals and support",
    "recency": "When last used",
    "inputs": "Inputs that matter",
    "effects": "Effect of each input",
    "groups": "Fairness by group",
    "published": "Comparison with published figures",
    "pipeline": "How a prediction is made",
    "made": "Provenance",
}

_OVERALL: Final = {
    "cannabis_decade_auc": "cannabis, decade: AUC",
    "cannabis_decade_sens_spec": "cannabis, decade: sensitivity + specificity, %",
    "cannabis_decade_log_loss": "cannabis, decade: log-loss",
    "decade_log_loss": "18 drugs, decade: log-loss",
    "decade_auc15": "15 drugs, decade: AUC",
    "decade_sens_spec": "18 drugs, decade: sensitivity + specificity, %",
    "decade_calibration_error": "18 drugs, decade: calibration error",
    "year_log_loss": "18 drugs, year: log-loss",
    "year_auc15": "15 drugs, year: AUC",
    "ranked_probability_score": "18 drugs, when last used: ranked probability score",
    "accuracy": "accuracy at .5",
    "auc": "AUC",
}

_METRIC_NAMES: Final = {name: name.replace("_", " ") for name in (*METRICS, "calibration_error")} | {
    "auc": "AUC",
    "log_loss": "log-loss",
    "brier": "Brier score",
}

_WITHIN: Final = {"ever": "a lifetime"} | {window: f"a {window}" for window in codebook.WINDOWS[1:]}

_LAST_USE: Final = ("never", "earlier", *codebook.WINDOWS[1:])  # classes of last use, one word each


def render(
    card: Card,
    evaluation: Evaluation,
    X: Floats,
    predict: Callable[[Floats], Floats],
    explainer: Explainer,
    curve: Mapping[int, Mapping[str, tuple[float, float, float]]],
    uncertainty: Uncertainty | None = None,
) -> dict[str, bytes]:
    """Return the report's files by name: index.html, figures.csv and groups.csv.

    Parameters
    ----------
    card : Card
    evaluation : Evaluation
    X : ndarray of shape (n, 12)
        The rows that were cross-validated.
    predict : callable
        The fitted model: maps rows to probabilities of shape (n, 18, 6).
    explainer : Explainer
    curve : mapping of int to mapping of str to tuple
        The value and the interval of `experiment.CURVE`, by the number of respondents trained on.
    uncertainty : Uncertainty, optional
        Without it, or on a card without it, there is no section about intervals.
    """
    by_group = fairness.by_group(evaluation, X)
    effect_of = partial_dependence.compute(predict, X)
    published = PUBLISHED if card.data.source == "uci" else {}
    trained_on = "all respondents" if evaluation.tested is None else "the training data"
    page = _TEMPLATES.get_template("report.html").render(
        card=card,
        sections={
            key: title
            for key, title in _SECTIONS.items()
            if (published or key != "published") and (uncertainty or key != "intervals")
        },
        uncertain=laplace.by_group(uncertainty, X, predict) if uncertainty else [],
        covered=_coverage() if card.uncertainty and card.uncertainty.coverage else {},
        figures=_METRIC_NAMES,
        overall=_OVERALL,
        within=_WITHIN,
        last_use=_LAST_USE,
        data=_data_pictures(X, evaluation.last_use),
        data_size=len(X),
        panels=_panels(evaluation, effect_of),
        ranks={window: _ranks(card, window) for window in codebook.WINDOWS},
        curves=_curves(curve),
        whole=global_explanation.compute(explainer),
        people=global_explanation.PEOPLE,
        steps=_steps(cast("dict[str, Any]", card.configuration["estimator"])),
        unit=plots.Axes((0.0, 1.0), (0.0, 1.0)),
        effects=effect_of,
        fewest_of_level=partial_dependence.MIN_LEVEL_COUNT,
        groups={drug: list(rows) for drug, rows in groupby(by_group, lambda group: group.drug)},
        fewest=fairness.MIN_PEOPLE,
        fewest_of_a_kind=fairness.MIN_PER_OUTCOME,
        hidden=fairness.MIN_SHOWN,
        threshold=f"the share of users among {trained_on}",
        published=published,
        published_mean=np.mean([of.sensitivity + of.specificity for of in PUBLISHED.values()]),
        why_optimistic=WHY_OPTIMISTIC,
        made=_provenance(card),
    )
    return {"index.html": page.encode(), "figures.csv": _metrics_csv(card), "groups.csv": _groups_csv(by_group)}


def _figure(value: float | None, form: str = ".3f", scale: float = 1) -> str:
    return "-" if value is None else format(scale * value, form)


_TEMPLATES: Final = Environment(
    loader=PackageLoader("drugpred.training"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters |= {"name": codebook.display_name, "figure": _figure}


def _data_pictures(X: Floats, last_use: NDArray[np.integer[Any]]) -> dict[str, data_plots.Picture]:
    codes = pd.DataFrame(X, columns=list(codebook.INPUTS)).join(pd.DataFrame(last_use, columns=list(codebook.DRUGS)))
    data = labelled(codes)
    pictures = {draw.__name__: draw(data) for draw in (data_plots.people, data_plots.use, data_plots.differences)}
    return pictures | {"scores_by_use": data_plots.scores_by_use(data, "cannabis"), "co_use": data_plots.co_use(data)}


def _panels(evaluation: Evaluation, effect_of: list[Effect]) -> dict[str, dict[str, Any]]:
    """Return the data and the axes of each drug's plots."""
    truth = cumulative_targets(evaluation.last_use)[:, :, codebook.DECADE]
    predicted = evaluation.probabilities[:, :, :, codebook.DECADE] >= fairness.thresholds(evaluation)
    panels: dict[str, dict[str, Any]] = {}
    for i, drug in enumerate(codebook.DRUGS):
        users, within = truth[:, i], evaluation.probabilities[:, :, i]
        enough = min(users.sum(), (~users).sum()) >= fairness.MIN_PER_OUTCOME
        dots = plots.reliability(users, within[:, :, codebook.DECADE])
        bars = plots.recency(evaluation.last_use[:, i], within)
        both = plots.axis_range([*dots.low, *dots.high, *dots.predicted])
        _, longest = plots.axis_range([0.0, *bars.high, *bars.predicted])
        height = plots.axis_range(np.concatenate([effect.probabilities[:, i] for effect in effect_of]))
        panels[drug] = {
            "roc": plots.roc(users, within[:, :, codebook.DECADE], predicted[:, :, i]) if enough else None,
            "precision": plots.precision_recall(users, within[:, :, codebook.DECADE], predicted[:, :, i])
            if enough
            else None,
            "confusion": [
                round(1000 * float((predicted[:, :, i] == p)[:, users == u].sum() / predicted[:, :, i].size))
                for u in (True, False)
                for p in (True, False)
            ],
            "dots": dots,
            "dots_axes": plots.Axes(both, both),
            "bars": bars,
            "bars_axes": plots.Axes((0.0, longest), (len(_LAST_USE), 0.0), left=46.0),
            "effects": plots.Axes((-2.2, 2.2), height, bottom=86.0),
        }
    return panels


def _ranks(card: Card, window: str) -> dict[str, dict[str, int]]:
    """Return each drug's place by every figure of the table, the highest first; those without a figure are last."""
    ranks: dict[str, dict[str, int]] = {drug: {} for drug in card.drugs}
    for name in ("base_rate", *_METRIC_NAMES):
        values = {drug: getattr(windows[window], name) for drug, windows in card.drugs.items()}
        for place, drug in enumerate(sorted(values, key=lambda drug: -1.0 if values[drug] is None else -values[drug])):
            ranks[drug][name] = place
    return ranks


def _curves(curve: Mapping[int, Mapping[str, tuple[float, float, float]]]) -> list[dict[str, Any]]:
    """Return the learning curve of each figure that could be measured at every size."""
    curves = []
    for name in CURVE:
        if not curve or any(name not in figures for figures in curve.values()):
            continue
        values, low, high = (np.array(of) for of in zip(*(figures[name] for figures in curve.values()), strict=True))
        axes = plots.Axes((0.0, 200.0 * -(-max(curve) // 200)), plots.axis_range([*low, *high]), left=46.0)
        curves.append(
            {"name": _OVERALL[name], "sizes": list(curve), "values": values, "low": low, "high": high, "axes": axes}
        )
    return curves


def _steps(estimator: dict[str, Any]) -> list[list[str]]:
    """Return the steps from inputs to probabilities; those of one step are made side by side."""
    inputs = [f"{len(codebook.CATEGORIES)} categories", f"{len(codebook.SCORES)} personality scores"]
    encoding = ["one column for each level", "scores unchanged"]
    if estimator["kind"] == "network":
        models = [
            f"{estimator['networks']} networks of {estimator['hidden_units']} tanh units",
            f"linear model, weight {estimator['linear_share']:.0%}",
        ]
        if estimator["forest_share"]:
            models.append(f"{estimator['trees']} trees, distilled, weight {estimator['forest_share']:.0%}")
        return [inputs, encoding, models, ["mean of the log-odds"], ["sorted by window"], ["18 drugs, 6 windows"]]
    models = ["logistic regression for each drug and window"]
    return [inputs, encoding, models, ["sorted by window"], ["18 drugs, 6 windows"]]


def _coverage() -> dict[str, dict[str, list[float]]]:
    """Return the measured coverage in each population, by kind of heading and by drug or people."""
    by_kind: dict[str, dict[str, list[float]]] = {"drug": {}, "people": {}}
    for result in coverage.measured():
        if result.drug == "all":
            by_kind["people"].setdefault(result.people, []).append(result.coverage)
        else:
            by_kind["drug"].setdefault(codebook.display_name(result.drug), []).append(result.coverage)
    return by_kind


def _provenance(card: Card) -> dict[str, object]:
    """Return a description of the training data and the training run."""
    overclaimers = {"keep": "kept", "drop": "dropped"}[card.data.overclaimers]
    configuration = {key: value for key, value in card.configuration.items() if key != "overclaimers"}
    return {
        "data": f"{card.data.respondents} respondents, source: {card.data.source}, sha256 {card.data.sha256}",
        "over-claimers": f"respondents who claim the invented drug Semeron were {overclaimers}",
        **{
            codebook.display_name(key): ", ".join(map(str, value)) or "none"
            if isinstance(value, list | tuple)
            else value
            for key, value in flatten(configuration, ": ")
        },
        "versions": ", ".join(f"{package} {version}" for package, version in card.versions.items()),
        "commit": card.git_commit or "unknown",
        "trained": card.created,
        "tracked as run": card.run_id or "not tracked",
    }


def _metrics_csv(card: Card) -> bytes:
    """Return every metric by drug and window, and then all intervals."""
    fields = [name for name in WindowCard.model_fields if name != "intervals"]
    bounds = [f"{name}_{end}" for name in _METRIC_NAMES for end in ("low", "high")]
    rows = (
        [drug, window, *(getattr(metrics, name) for name in fields)]
        + [bound for name in _METRIC_NAMES for bound in metrics.intervals.get(name, (None, None))]
        for drug, windows in card.drugs.items()
        for window, metrics in windows.items()
    )
    return to_csv(["drug", "window", *fields, *bounds], rows)


def _groups_csv(groups: list[fairness.Group]) -> bytes:
    """Return the metrics by group, rounded to three digits so that they identify no single respondent."""
    columns = [f"{name}{end}" for name in fairness.Figures._fields for end in ("", "_low", "_high")]
    rows = []
    for *key, figures in groups:
        values = [round(value, 3) for estimate in figures for value in estimate] if figures else [None] * len(columns)
        rows.append([*key, *values])
    return to_csv([*fairness.Group._fields[:-1], *columns], rows)
