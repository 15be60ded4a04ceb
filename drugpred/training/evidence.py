"""What `drugpred evaluate` prints and writes: the card's figures, other models, treatments of imbalance.

::

    figures.csv, overall.json, evaluation.md    the figures with their intervals, beside the published ones
    comparison.csv, comparison.md               other models, if asked for
    imbalance.csv, imbalance.md                 treatments of imbalance, if asked for
    folds/                                      probabilities of finished folds, which the next run finds again
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from drugpred.training import comparison, imbalance
from drugpred.training.estimators import make_pipeline
from drugpred.training.evaluation import cross_validate
from drugpred.training.kept import check_writable
from drugpred.training.run import carded, cross_validated, folds_of, load
from drugpred.training.tables import Table, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from drugpred.data.respondents import Respondents
    from drugpred.model_store import Card
    from drugpred.training.configuration import Configuration
    from drugpred.training.evaluation import Evaluation

__all__ = ["gather"]


def gather(
    data: Path | None,
    config: Configuration,
    output: Path,
    peers: Sequence[str],
    *,
    treatments: bool,
    console: Console,
) -> None:
    """Evaluate the configured model, and compare it where that was asked for.

    Parameters
    ----------
    data : pathlib.Path, optional
        As train.py takes it.
    config : Configuration
    output : pathlib.Path
        The folder to write to.
    peers : sequence of str
        Of `comparison.PEERS`: models to compare with.
    treatments : bool
        Whether to compare treatments of imbalance.
    console : rich.console.Console
        Where to print.

    Raises
    ------
    DataError
        The file is malformed.
    ConfigurationError
        The folder cannot be written to.
    OSError
        It could, and later cannot.
    """
    folder = output / "folds"
    check_writable(folder)
    respondents = load(data, config, console)
    evaluation = cross_validated(respondents, config, folder)
    card = carded(respondents, config, evaluation)
    made_of = (
        f"{card.data.respondents} respondents (source: {card.data.source}, sha256 {card.data.sha256[:12]}),"
        f" {config.cross_validation.folds} folds x {config.cross_validation.repeats}, seed {config.seed}; intervals are"
        " of 95%, corrected for what folds share."
    )

    def publish(name: str, tables: Sequence[Table]) -> None:
        for table in tables:
            console.print(table.rich())
        text = "\n\n".join(["# " + name, made_of, *(table.markdown() for table in tables)])
        (output / f"{name}.md").write_text(text + "\n", encoding="utf-8")

    _write(output / "figures.csv", ("drug", "window", "figure", "value", "low", "high"), _figures(card))
    (output / "overall.json").write_text(json.dumps(_overall(card), indent=1) + "\n", encoding="utf-8")
    publish("evaluation", [_overall_table(card), comparison.published_table(card)])

    if peers:
        found = _compared(respondents, config, evaluation, peers, folder)
        rows = ((name, *d, d.verdict) for name, differences in found.items() for d in differences)
        _write(output / "comparison.csv", ("model", *comparison.Difference._fields, "verdict"), rows)
        publish("comparison", [comparison.comparison_table(*each) for each in found.items()])
    if treatments:
        results = imbalance.study(respondents, folds_of(respondents, config), config.seed, folder)
        _write(output / "imbalance.csv", imbalance.Result._fields, results)
        publish("imbalance", [imbalance.study_table(results)])


def _compared(
    respondents: Respondents,
    config: Configuration,
    evaluation: Evaluation,
    peers: Sequence[str],
    folder: Path,
) -> dict[str, list[comparison.Difference]]:
    found = {}
    for name in peers:
        peer = comparison.PEERS[name]
        other = cross_validate(
            make_pipeline(peer.estimator(config.seed)),
            respondents.X,
            respondents.last_use,
            folds_of(respondents, config),
            folder,
            threshold=peer.threshold,
            label=name,
        )
        found[name] = comparison.compare(evaluation, other)
    return found


def _figures(card: Card) -> Iterator[tuple[object, ...]]:
    """Yield every figure of the card by drug and window."""
    for drug, windows in card.drugs.items():
        for window, figures in windows.items():
            for name, value in figures.model_dump(exclude={"threshold", "intervals", "reliable"}).items():
                yield drug, window, name, value, *figures.intervals.get(name, (None, None))
        yield drug, "all", "ranked_probability_score", card.ranked_probability_scores[drug], None, None


def _overall(card: Card) -> dict[str, object]:
    unknown = (None, None)
    overall = {
        name: dict(zip(("value", "low", "high"), (value, *card.overall_intervals.get(name, unknown)), strict=True))
        for name, value in card.overall.items()
    }
    kept = {"reference_split", "folds", "data", "configuration", "versions", "git_commit"}
    return {"overall": overall} | card.model_dump(mode="json", include=kept)


def _overall_table(card: Card) -> Table:
    rows = []
    for name, value in card.overall.items():
        low, high = card.overall_intervals.get(name, (None, None))
        rows.append((name.replace("_", " "), number(value), f"{number(low)} to {number(high)}"))
    rows += [(f"reference split: {name}", number(value), "-") for name, value in (card.reference_split or {}).items()]
    return Table("headline figures", ("figure", "value", "95% interval"), rows)


def _write(path: Path, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(headings)
        writer.writerows(rows)
