"""Train the drug consumption model and put it into the BentoML model store.

usage: python train.py [--data PATH] [--config PATH] [--track] [--force]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from drugpred.errors import ending, needs


def main() -> int:
    """Train, evaluate, store.

    Return 0; 2 where the data or the configuration is malformed or the model cannot be stored; 3 where the gate refuses
    the model; 130 where it was interrupted.
    """
    parser = argparse.ArgumentParser(
        description="Train the model and put it into the BentoML model store.",
        epilog="Exits with 0 when the model was stored, with 2 when nothing could be done, with 3 when it is worse than"
        " the newest one.",
    )
    parser.add_argument(
        "--data",
        type=existing,
        metavar="PATH",
        help="respondents, in the UCI form or as decoded CSV (default: DRUGPRED_DATA, else UCI's, else simulated ones)",
    )
    parser.add_argument(
        "--config",
        type=existing,
        metavar="PATH",
        default=Path(__file__).parent / "configs" / "train.yaml",
        help="the model, the folds and the seed (default: configs/train.yaml)",
    )
    parser.add_argument(
        "--track", action="store_true", help="keep the run in MLflow (mlflow.db, or MLFLOW_TRACKING_URI)"
    )
    parser.add_argument("--force", action="store_true", help="store the model even if it is worse than the newest one")
    options = parser.parse_args()
    try:
        with needs("train"):
            from drugpred.training.command import run  # takes seconds, so only for options that are right

        run(options.data, options.config, track=options.track, force=options.force)
    except BaseException as error:
        ended = ending(error, "no model was stored, unless a line above says so; run it again")
        if ended is None:
            raise
        sys.stderr.write(f"error: {ended.line}\n")
        return ended.exit_code
    return 0


def existing(path: str) -> Path:
    """Return the path of an option."""
    if not Path(path).exists():
        raise argparse.ArgumentTypeError(f"expected a file, and there is none at {path}")
    return Path(path)


if __name__ == "__main__":
    sys.exit(main())
