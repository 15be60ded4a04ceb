"""The `drugpred` command, one module for each of its commands.

Commands import other packages when they run: `drugpred --help` reads all of these modules, and training libraries take
seconds.
"""

from __future__ import annotations

import sys

from drugpred.errors import MissingPackageError, needs

try:
    with needs("bulk"):
        import click
except MissingPackageError as missing:
    sys.stderr.write(f"Error: {missing}\n")
    sys.exit(missing.exit_code)

from drugpred import __version__
from drugpred.cli import compare, drift, evaluate, models, predict, report, score, simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="drugpred")
def main() -> None:
    """Work with the drug consumption model from the command line."""


for command in (
    compare.compare,
    drift.drift,
    evaluate.evaluate,
    models.models,
    predict.predict,
    report.report,
    score.score,
    simulate.simulate,
):
    main.add_command(command)
