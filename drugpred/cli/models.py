"""`drugpred models`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

import click

from drugpred.cli.base import Command, ended_by_sigpipe, text_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drugpred.model_store import StoredModel

_FIGURES: Final = {
    "cannabis_decade_auc": "cannabis AUC",
    "decade_auc15": "mean AUC",
    "decade_log_loss": "log-loss",
    "decade_calibration_error": "calib. error",
}
"""Those of the list, cross-validated, of use within a decade; the AUC over the drugs that not almost everybody uses."""

_SHORT: Final = 12  # digits of a checksum


@click.command(cls=Command)
@click.argument("tags", metavar="[TAG]...", nargs=-1)
def models(tags: tuple[str, ...]) -> None:
    """List the stored models, the newest first, or compare the configuration and the figures of those with a TAG.

    Figures are cross-validated, of use within a decade. Of two models that are compared, the last column has the
    difference of a figure, and marks what else differs.
    """
    with ended_by_sigpipe():
        click.echo(_comparison(tags) if tags else _list())


def _list() -> str:
    from drugpred.model_store import NAME, list_models, not_found

    rows = []
    for tag, model in list_models().items():
        overall = cast("dict[str, float]", model.info.metadata.get("overall", {}))
        stored = model.creation_time.strftime("%Y-%m-%d %H:%M:%S")
        figures = (_number(overall.get(name)) for name in _FIGURES)
        rows.append((tag, stored, model.info.labels.get("data_source", "-"), *figures))
    if not rows:
        raise not_found(NAME)
    return text_table(("model", "stored (UTC)", "data", *_FIGURES.values()), *rows)


def _comparison(tags: tuple[str, ...]) -> str:
    from drugpred import model_store

    compared = [dict(_described(model_store.load(tag))) for tag in tags]
    names = dict.fromkeys(chain.from_iterable(compared))
    rows = [[name, *(_text(one.get(name)) for one in compared)] for name in names]
    if len(compared) == 2:
        for row in rows:
            row.append(_difference(*(one.get(row[0]) for one in compared)))
    return text_table(*rows)


def _described(model: StoredModel) -> Iterator[tuple[str, object]]:
    """Yield what there is to compare of a model, by name: texts, and figures as floats."""
    from drugpred.training.tables import flatten

    card = model.card
    yield "model", model.tag
    yield "stored", card.created[:19].replace("T", " ")
    yield "git_commit", (card.git_commit or "-")[:_SHORT]
    data: dict[str, Any] = card.data.model_dump() | {"sha256": card.data.sha256[:_SHORT]}
    for name, value in flatten({"data": data, "configuration": card.configuration}):
        yield name, str(value)  # also a float: a difference of settings means nothing
    yield from card.overall.items()
    for drug, windows in card.drugs.items():
        yield f"{drug}_decade_auc", windows["decade"].auc


def _text(value: object) -> str:
    if value is None or isinstance(value, float):
        return _number(value)
    return str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _difference(one: object, other: object) -> str:
    if isinstance(one, float) and isinstance(other, float):
        return f"{other - one:+.4f}"
    return "differs" if one != other else ""
