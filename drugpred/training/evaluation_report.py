"""The output of `drugpred evaluate`.

::

    figures.csv, overall.json, evaluation.md    metrics with their intervals, next to the published ones
    comparison.csv, comparison.md               comparison with baselines, on request
    imbalance.csv, imbalance.md                 treatments of class imbalance, on request
    coverage.csv, coverage.md                   coverage of intervals of known probabilities, on request
    folds/                                      cache of the probabilities of finished folds
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from drugpred.data.files import require_writable
from drugpred.training import baselines, coverage, imbalance
from drugpred.training.card import build_card
from drugpred.training.experiment import cross_validate_model, load_respondents
from drugpred.training.published_results import published_table
from drugpred.training.tables import headline_table, to_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from drugpred.model_store import Card
    from drugpred.training.configuration import Configuration
    from drugpred.training.tables import Table


def write(
    data: Path | None,
    config: Configuration,
    output: Path,
    against: Sequence[str],
    *,
    treatments: bool,
    intervals: bool,
    console: Console,
) -> None:
    """Evaluate the configured model, compare it on request, and write the results.

    Parameters
    ----------
    data : pathlib.Path, optional
        Respondents, as in train.py.
    config : Configuration
    output : pathlib.Path
        Folder of the results.
    against : sequence of str
        Names in `baselines.BASELINES` to compare with.
    treatments : bool
        Whether to compare treatments of class imbalance.
    intervals : bool
        Whether to measure the coverage of intervals.
    console : rich.console.Console
        Console for the tables.

    Raises
    ------
    DataError
        The file is malformed.
    ConfigurationError
        The folder is not writable.
    OSError
        Writing fails later.
    """
    folder = output / "folds"
    require_writable(folder)
    respondents = load_respondents(data, config, console)
    evaluation = cross_validate_model(respondents, config, folder)
    card = build_card(respondents, config, evaluation)
    provenance = (
        f"{card.data.respondents} respondents (source: {card.data.source}, sha256 {card.data.sha256[:12]}),"
        f" {config.cross_validation.folds} folds x {config.cross_validation.repeats}, seed {config.seed}; intervals are"
        " of 95%, corrected for shared training rows."
    )

    def publish(name: str, *tables: Table) -> None:
        for table in tables:
            console.print(table.rich())
        text = "\n\n".join(["# " + name, provenance, *(table.markdown() for table in tables)])
        (output / f"{name}.md").write_text(text + "\n", encoding="utf-8")

    headings = ("drug", "window", "figure", "value", "low", "high")
    (output / "figures.csv").write_bytes(to_csv(headings, _metric_rows(card)))
    (output / "overall.json").write_text(json.dumps(_overall(card), indent=1) + "\n", encoding="utf-8")
    publish("evaluation", headline_table(card), published_table(card))

    if against:
        comparisons = {}
        for name in against:
            baseline = baselines.BASELINES[name]
            estimator = baseline.make_estimator(config.seed)
            other = cross_validate_model(
                respondents, config, folder, estimator=estimator, threshold=baseline.threshold, label=name
            )
            comparisons[name] = baselines.compare(evaluation, other)
        rows = ((name, *d, d.verdict) for name, differences in comparisons.items() for d in differences)
        columns = ("model", *baselines.Difference._fields, "verdict")
        (output / "comparison.csv").write_bytes(to_csv(columns, rows))
        publish("comparison", *(baselines.comparison_table(*item) for item in comparisons.items()))
    if treatments:
        results = imbalance.compare_treatments(respondents, config, folder)
        (output / "imbalance.csv").write_bytes(to_csv(imbalance.Result._fields, results))
        publish("imbalance", imbalance.treatments_table(results))
    if intervals:
        measured = coverage.measure(respondents, config, console)
        (output / "coverage.csv").write_bytes(to_csv(coverage.Result._fields, measured))
        publish("coverage", *coverage.tables(measured))


def _metric_rows(card: Card) -> Iterator[tuple[object, ...]]:
    """Yield every metric of the card by drug and window."""
    for drug, windows in card.drugs.items():
        for window, metrics in windows.items():
            for name, value in metrics.model_dump(exclude={"threshold", "intervals", "reliable"}).items():
                yield drug, window, name, value, *metrics.intervals.get(name, (None, None))
        yield drug, "all", "ranked_probability_score", card.ranked_probability_scores[drug], None, None


def _overall(card: Card) -> dict[str, object]:
    overall = {
        name: dict(zip(("value", "low", "high"), (value, *card.overall_intervals.get(name, (None, None))), strict=True))
        for name, value in card.overall.items()
    }
    included = {"reference_split", "folds", "data", "configuration", "versions", "git_commit"}
    return {"overall": overall} | card.model_dump(mode="json", include=included)
