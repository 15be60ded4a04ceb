"""`drugpred report`."""

from __future__ import annotations

import click

from drugpred.cli.base import Command


@click.command(cls=Command)
@click.argument("tag", required=False)
def report(tag: str | None) -> None:
    """Open the report of a stored model in the browser: of TAG, or of the newest model."""
    from drugpred import model_store

    page = model_store.load(tag or model_store.NAME).path / "report" / "index.html"
    click.echo(page)
    click.launch(str(page))
