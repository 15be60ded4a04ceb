"""The report of a model: its card as a page of HTML with plots, and its figures as CSV; no request to anywhere."""

from __future__ import annotations

import csv
import io
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader

from drugpred import codebook
from drugpred.training import effects, groups, plots
from drugpred.training.estimators import cumulative_targets
from drugpred.training.measures import FIGURES
from drugpred.training.published import PUBLISHED, WHY_OPTIMISTIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from drugpred.model_store import Card
    from drugpred.training.effects import Effect
    from drugpred.training.evaluation import Evaluation

    Floats = NDArray[np.float64]

__all__ = ["render"]


_SECTIONS: Final = {
    "use": "Use and cautions",
    "overall": "Overall",
    "drugs": "By drug",
    "roc": "ROC curves, decade",
    "reliability": "Reliability, decade",
    "recency": "When last used",
    "effects": "What moves the prediction",
    "groups": "Fairness by group",
    "published": "Beside the published figures",
    "made": "How it was made",
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

_WITHIN: Final = {"ever": "a lifetime"} | {window: f"a {window}" for window in codebook.WINDOWS[1:]}

_LAST_USE: Final = ("never", "earlier", *codebook.WINDOWS[1:])
"""Classes of last use, in a word."""


def render(card: Card, evaluation: Evaluation, X: Floats, predict: Callable[[Floats], Floats]) -> dict[str, bytes]:
    """Return the report's files by name: index.html, figures.csv and groups.csv.

    Parameters
    ----------
    card : Card
    evaluation : Evaluation
    X : ndarray of shape (n, 12)
        The rows that were cross-validated.
    predict : callable
        The fitted model, from rows to probabilities of shape (n, 18, 6).
    """
    by_group = groups.by_group(evaluation, X)
    effect_of = effects.partial_dependence(predict, X)
    published = PUBLISHED if card.data.source == "uci" else {}
    trained_on = "all respondents" if evaluation.tested is None else "the respondents trained on"
    template = _templates().get_template("report.html")
    page = template.render(
        card=card,
        sections={key: title for key, title in _SECTIONS.items() if published or key != "published"},
        figures=_headings(),
        overall=_OVERALL,
        within=_WITHIN,
        last_use=_LAST_USE,
        panels=_panels(evaluation, effect_of),
        unit=plots.Axes((0.0, 1.0), (0.0, 1.0)),
        effects=effect_of,
        fewest_of_level=effects.FEWEST,
        groups={drug: list(rows) for drug, rows in groupby(by_group, lambda group: group.drug)},
        fewest=groups.FEWEST,
        fewest_of_a_kind=groups.FEWEST_OF_A_KIND,
        hidden=groups.HIDDEN,
        threshold=f"the share of users among {trained_on}",
        published=published,
        published_mean=np.mean([of.sensitivity + of.specificity for of in PUBLISHED.values()]),
        why_optimistic=WHY_OPTIMISTIC,
        made=_made(card),
    )
    return {
        "index.html": page.encode(),
        "figures.csv": _csv(_figure_rows(card)),
        "groups.csv": _csv(_group_rows(by_group)),
    }


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("drugpred.training"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"name": _name, "figure": _figure}
    return environment


def _name(key: str) -> str:
    return "LSD" if key == "lsd" else key.replace("_", " ")


def _figure(value: float | None, form: str = ".3f", scale: float = 1) -> str:
    return "-" if value is None else format(scale * value, form)


def _headings() -> dict[str, str]:
    names = {name: name.replace("_", " ") for name in (*FIGURES, "calibration_error")}
    return names | {"auc": "AUC", "log_loss": "log-loss", "brier": "Brier score"}


def _panels(evaluation: Evaluation, effect_of: list[Effect]) -> dict[str, dict[str, Any]]:
    """Return what is drawn of each drug, with the axes that its values need."""
    truth = cumulative_targets(evaluation.last_use)[:, :, codebook.DECADE]
    predicted = evaluation.probabilities[:, :, :, codebook.DECADE] >= groups.thresholds(evaluation)
    panels: dict[str, dict[str, Any]] = {}
    for i, drug in enumerate(codebook.DRUGS):
        users, within = truth[:, i], evaluation.probabilities[:, :, i]
        enough = min(users.sum(), (~users).sum()) >= groups.FEWEST_OF_A_KIND
        dots = plots.reliability(users, within[:, :, codebook.DECADE])
        bars = plots.recency(evaluation.last_use[:, i], within)
        both = plots.axes([*dots.low, *dots.high, *dots.predicted])
        _, longest = plots.axes([0.0, *bars.high, *bars.predicted])
        height = plots.axes(np.concatenate([effect.probabilities[:, i] for effect in effect_of]))
        panels[drug] = {
            "roc": plots.roc(users, within[:, :, codebook.DECADE], predicted[:, :, i]) if enough else None,
            "dots": dots,
            "dots_axes": plots.Axes(both, both),
            "bars": bars,
            "bars_axes": plots.Axes((0.0, longest), (len(_LAST_USE), 0.0), left=46.0),
            "effects": plots.Axes((-2.2, 2.2), height, bottom=86.0),
        }
    return panels


def _made(card: Card) -> dict[str, object]:
    """Return what made the model, in words."""
    kept = {"keep": "kept", "drop": "dropped"}[card.data.overclaimers]
    configuration = {key: value for key, value in card.configuration.items() if key != "overclaimers"}
    return {
        "data": f"{card.data.respondents} respondents, source: {card.data.source}, sha256 {card.data.sha256}",
        "over-claimers": f"respondents who claim the invented drug Semeron were {kept}",
        **dict(_flat(configuration)),
        "versions": ", ".join(f"{package} {version}" for package, version in card.versions.items()),
        "commit": card.git_commit or "unknown",
        "trained": card.created,
        "tracked as run": card.run_id or "not tracked",
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}: ")
        else:
            words = ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else value
            yield _name(f"{prefix}{key}"), words


def _figure_rows(card: Card) -> Iterator[dict[str, object]]:
    for drug, windows in card.drugs.items():
        for window, of in windows.items():
            figures = of.model_dump(exclude={"intervals"})
            bounds = {name: of.intervals.get(name, (None, None)) for name in _headings()}
            intervals = {
                f"{n}_{end}": v for n, pair in bounds.items() for end, v in zip(("low", "high"), pair, strict=True)
            }
            yield {"drug": drug, "window": window} | figures | intervals


def _group_rows(by_group: list[groups.Group]) -> Iterator[dict[str, object]]:
    """Yield groups with figures of three digits, which tell no single respondent."""
    for group in by_group:
        row: dict[str, object] = group._asdict()
        del row["figures"]
        for name in groups.Figures._fields:
            estimate = getattr(group.figures, name) if group.figures else (None, None, None)
            values = (None if value is None else round(value, 3) for value in estimate)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
        yield row


def _csv(rows: Iterator[dict[str, object]]) -> bytes:
    """Return rows of the same keys as CSV; None is an empty field."""
    first = next(rows)
    file = io.StringIO()
    writer = csv.DictWriter(file, first, lineterminator="\n")
    writer.writeheader()
    writer.writerows([first, *rows])
    return file.getvalue().encode()
