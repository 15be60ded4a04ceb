"""Options that several commands have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drugpred.cli.base import did_you_mean
from drugpred.codebook import DRUGS, WINDOWS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _Drugs(click.ParamType[tuple[str, ...]]):
    name = "drugs"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse names separated by commas."""
        named = value if isinstance(value, tuple) else tuple(name.strip() for name in str(value).split(","))
        for name in named:
            if name not in DRUGS:
                self.fail(f"expected some of {','.join(DRUGS)}{did_you_mean(name, DRUGS)}", param, ctx)
        return tuple(dict.fromkeys(named))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 - click's own
        """Complete the last name."""
        from click.shell_completion import CompletionItem

        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{drug}") for drug in DRUGS if drug.startswith(last)]


window = click.option(
    "--window", type=click.Choice(WINDOWS), default="decade", show_default=True, help="Time window of use."
)
drugs = click.option("--drugs", type=_Drugs(), default=DRUGS, show_default="all", help="Drugs, separated by commas.")
scale = click.option(
    "--scale",
    type=click.Choice(["standardized", "raw"]),
    default="standardized",
    show_default=True,
    help="Scale of the five NEO scores: as published, or raw totals.",
)
model = click.option("--model", metavar="TAG", help="Tag of a stored model; by default the newest.")
