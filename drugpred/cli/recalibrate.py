"""`drugpred recalibrate`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from drugpred.cli.base import Command, text_table
from drugpred.errors import DataError

if TYPE_CHECKING:
    from drugpred.training.calibration_counts import CalibrationCounts
    from drugpred.training.recalibration import DrugResult

_DAYS = 7


@click.command(cls=Command, extra="train", kept="no model was stored, unless a line above says so")
@click.option("--model", metavar="TAG", help="Model whose predictions were counted; by default as the counters say.")
@click.option("--metrics", metavar="URL", help="The /metrics of a server; - reads its text from standard input.")
@click.option("--prometheus", metavar="URL", help="A Prometheus that scrapes all servers.")
@click.option("--days", type=click.IntRange(1), help=f"Days that Prometheus looks back; by default {_DAYS}.")
def recalibrate(model: str | None, metrics: str | None, prometheus: str | None, days: int | None) -> None:
    """Store a version of a model whose probabilities are recalibrated by the reported outcomes of its predictions.

    The outcomes are counted by --metrics or by --prometheus, and should be of a random sample of the predictions. The
    log-odds of a drug are moved and scaled if it has 200 outcomes, 20 of each kind, and they differ by more than chance
    explains (a likelihood-ratio test at a level of .01 over all drugs).

    Exit status: 0 if a version was stored, 3 if no drug is changed, 2 if the counters cannot be read.
    """
    from drugpred import model_store
    from drugpred.training import recalibration

    if (metrics is None) == (prometheus is None):
        raise click.UsageError("expected either --metrics or --prometheus")
    if days is not None and prometheus is None:
        raise click.UsageError("expected --days with --prometheus only: a server counts since its start")
    days = (days or _DAYS) if prometheus else None
    counts = _read(metrics, prometheus, days)
    stored = model_store.load(model or counts.model)
    if stored.tag != counts.model:
        raise DataError(f"expected outcomes of {stored.tag}; the counters are of {counts.model}")
    results = recalibration.recalibrate(counts)
    click.echo(_table(results))
    tag = recalibration.store(stored, results, days)
    click.echo(f"stored {tag}, recalibrated from {stored.tag}, in {model_store.resolve(tag).path}")
    click.echo(f"compare them on live traffic: DRUGPRED_MODEL={stored.tag} DRUGPRED_CHALLENGER={tag} bentoml serve")


def _read(metrics: str | None, prometheus: str | None, days: int | None) -> CalibrationCounts:
    from drugpred.training import calibration_counts

    if prometheus is not None and days is not None:
        return calibration_counts.from_prometheus(prometheus, days)
    if metrics is None or metrics == "-":
        return calibration_counts.from_text(sys.stdin.read())
    return calibration_counts.from_server(metrics)


def _table(results: list[DrugResult]) -> str:
    rows = [
        (
            of.drug,
            f"{of.outcomes:.0f}",
            *(f"{share:.4f}" if of.outcomes else "-" for share in (of.expected, of.observed)),
            *(
                (
                    f"{of.line.shift:+.2f} ± {of.line.shift_error:.2f}",
                    f"{of.line.scale:.2f} ± {of.line.scale_error:.2f}",
                )
                if of.line
                else ("-", "-")
            ),
            of.kept or "recalibrated",
        )
        for of in results
    ]
    return text_table(("drug", "outcomes", "predicted", "observed", "shift", "scale", "result"), *rows)
