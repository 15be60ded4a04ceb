"""Train the drug consumption model and save it to the BentoML model store.

usage: python train.py [--data PATH] [--config PATH] [--track] [--force]
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from drugpred.errors import ending, needs


def train(data: Path | None, config_path: Path, *, track: bool, force: bool) -> None:
    """Cross-validate the configured model, compare it with the newest one, fit it to all respondents and store it.

    Parameters
    ----------
    data : pathlib.Path, optional
        Respondents; by default the first available source of `drugpred.data.download.load`.
    config_path : pathlib.Path
    track : bool
        Whether to log the run in MLflow.
    force : bool
        Whether to store the model even if it is worse than the newest one.

    Raises
    ------
    DrugpredError
        The data or the configuration is malformed, the model cannot be stored, or it is worse than the newest one.
    """
    with needs("train"):  # these imports take seconds, so options are parsed first
        import numpy as np
        import skops.io
        from rich.console import Console

        from drugpred import model_store
        from drugpred.data.files import require_writable
        from drugpred.explanation import Explainer
        from drugpred.predictor import Predictor, to_npz
        from drugpred.training import configuration, experiment, laplace, promotion
        from drugpred.training.card import build_card
        from drugpred.training.coverage import measured_for
        from drugpred.training.estimators import make_pipeline
        from drugpred.training.report import render
        from drugpred.training.shap_background import make_background
        from drugpred.training.tables import drug_table, headline_table
        from drugpred.training.tracking import tracked_run
        from drugpred.uncertainty import Uncertainty

    console = Console()
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    config = configuration.read(config_path)
    # Check before minutes of work. BentoML creates a model in the temporary folder, and then copies it.
    for folder in (model_store.home() / "models", Path(tempfile.gettempdir())):
        require_writable(folder)

    with tracked_run(config) if track else nullcontext() as run:
        respondents = experiment.load_respondents(data, config, console)
        evaluation = experiment.cross_validate_model(respondents, config)
        card = build_card(respondents, config, evaluation, run.id if run else None)
        for table in (drug_table(card, "decade"), drug_table(card, "year"), headline_table(card)):
            console.print(table.rich())
        if run:
            run.log_evaluation(card)
        curve = experiment.learning_curve(respondents, config, evaluation)

        with promotion.store_lock():
            if not force:
                evaluate = partial(experiment.cross_validate_model, respondents)
                say(promotion.require_no_regression(card, config, evaluate))
            pipeline = make_pipeline(config.make_estimator()).fit(respondents.X, respondents.last_use)
            weights = pipeline[-1].arrays()
            predictor = Predictor(**weights)
            uncertainty = laplace.fit(
                predictor,
                respondents.X,
                config.estimator.linear_penalty,
                config.estimator.leave_out,
                measured_for(config, respondents.source),
            )
            card = card.model_copy(update={"uncertainty": uncertainty.card})
            background = make_background(predictor)
            report = render(
                card,
                evaluation,
                respondents.X,
                pipeline.predict_proba,
                Explainer(predictor, np.load(io.BytesIO(background))),
                curve,
                Uncertainty.read(io.BytesIO(uncertainty.content)),
            )
            tag = model_store.write(
                skops.io.dumps(pipeline), to_npz(weights), background, uncertainty.content, card, report
            )
        say(f"stored {tag} in {model_store.resolve(tag).path}; serve it with: bentoml serve")
        if run:
            run.log_model(model_store.load(tag))
            say(f"tracked as MLflow run {run.id}")


def main() -> int:
    """Parse the options and train.

    Return 0; 2 if the data or the configuration is malformed or the model cannot be stored; 3 if the model is worse
    than the newest one; 130 if interrupted.
    """
    parser = argparse.ArgumentParser(
        description="Train the model and save it to the BentoML model store.",
        epilog="Exit status: 0 if the model was stored; 2 if the data or the configuration is malformed"
        ", or the model cannot be stored; 3 if the model is worse than the newest one.",
    )
    parser.add_argument(
        "--data",
        type=existing_path,
        metavar="PATH",
        help="respondents, in the UCI format or as decoded CSV (default: DRUGPRED_DATA, else UCI, else simulated)",
    )
    parser.add_argument(
        "--config",
        type=existing_path,
        metavar="PATH",
        default=Path(__file__).parent / "configs" / "train.yaml",
        help="the model, the folds and the seed (default: configs/train.yaml)",
    )
    parser.add_argument(
        "--track", action="store_true", help="log the run in MLflow (mlflow.db, or MLFLOW_TRACKING_URI)"
    )
    parser.add_argument("--force", action="store_true", help="store the model even if it is worse than the newest one")
    options = parser.parse_args()
    try:
        train(options.data, options.config, track=options.track, force=options.force)
    except BaseException as error:
        ended = ending(error, "no model was stored, unless a line above says so; run it again")
        if ended is None:
            raise
        sys.stderr.write(f"error: {ended.line}\n")
        return ended.exit_code
    return 0


def existing_path(path: str) -> Path:
    """Return the path of an option that names an existing file."""
    if not Path(path).exists():
        raise argparse.ArgumentTypeError(f"expected a file at {path}")
    return Path(path)


if __name__ == "__main__":
    sys.exit(main())
