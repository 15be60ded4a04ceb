"""Measures how many of the known probabilities of simulated people their intervals hold.

The probabilities of real people are not known, so respondents are drawn from populations whose probabilities are:

cohort
    The simulated cohort, whose network is of the model's own kind, and was pulled to the mean like the model.
rough
    A network with a third of its penalty and a linear model with a quarter, fitted to the respondents: it follows their
    noise, so the effects of small groups are larger than any that a model can learn from as many respondents.
forest
    A random forest fitted to the respondents: of another kind than the model.

For each draw the configured model is fitted and its uncertainty made as `train.py` does.
"""

from __future__ import annotations

import csv
import io
from importlib.resources import as_file, files
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np
from rich.progress import track
from sklearn.ensemble import RandomForestRegressor

from drugpred import codebook
from drugpred.data.simulator import Cohort
from drugpred.predictor import Predictor
from drugpred.training import laplace
from drugpred.training.estimators import CumulativeNetwork, cumulative_targets, make_pipeline
from drugpred.training.fit_simulator import input_scores
from drugpred.training.tables import Table
from drugpred.uncertainty import Uncertainty

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from rich.console import Console

    from drugpred.codebook import DataSource
    from drugpred.data.respondents import Respondents
    from drugpred.training.configuration import Configuration

SEED: Final = 2000  # of the first draw; the others use the next ones. The constants were chosen on draws of other seeds
DRAWS: Final = 5

_RANDOM: Final = 3000  # people to measure with
_EACH_LEVEL: Final = 150
_FAR: Final = 400
_UNIFORM: Final = 500
_DRAWN: Final = 160_000  # people of whom the furthest out, and those of rare levels, are taken

_TREES: Final = 300
_LEAF: Final = 5
_MIN_PROBABILITY: Final = 2e-3

_RANDOM_PEOPLE: Final = "everybody"


class _Population(Protocol):
    """The known probabilities of a population."""

    def predict_proba(self, rows: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Return probabilities of shape (n, 18, 6)."""


class Result(NamedTuple):
    """The coverage of some people's intervals within a decade, over all draws."""

    population: str
    people: str  # everybody, a level of a category as `country: UK`, scores far out, or uniform
    drug: str  # all, or for everybody also each
    coverage: float
    low: float
    """The coverage of the draw with the lowest."""
    width: float
    """Mean width of the intervals."""
    similar: float
    """Median support."""


def measured() -> list[Result]:
    """Return the results for the shipped configuration and UCI's data, as `drugpred evaluate --coverage` wrote them."""
    with as_file(files("drugpred.training") / "coverage.csv") as path, path.open(encoding="utf-8") as file:
        return [Result._make([*row[:3], *map(float, row[3:])]) for row in islice(csv.reader(file), 1, None)]


def measured_for(config: Configuration, source: DataSource) -> dict[str, float] | None:
    """Return the coverage by population, or None for another configuration or data than the shipped and UCI's."""
    shipped, estimator = CumulativeNetwork(), config.make_estimator()
    if source == "file" or type(estimator) is not type(shipped):
        return None
    parameters = estimator.set_params(random_state=shipped.random_state).get_params()
    if parameters != shipped.get_params():
        return None
    return {
        each.population: each.coverage for each in measured() if (each.people, each.drug) == (_RANDOM_PEOPLE, "all")
    }


class _Forest:
    """A random forest as a population."""

    def __init__(self, respondents: Respondents) -> None:
        targets = cumulative_targets(respondents.last_use).reshape(len(respondents), -1)
        forest = RandomForestRegressor(_TREES, min_samples_leaf=_LEAF, max_features=4, random_state=SEED)
        self._forest = forest.fit(input_scores(respondents.X), targets)

    def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities of shape (n, 18, 6)."""
        probabilities = self._forest.predict(input_scores(rows)).clip(_MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        return -np.sort(-probabilities.reshape(-1, len(codebook.DRUGS), len(codebook.WINDOWS)))


def populations(respondents: Respondents) -> dict[str, _Population]:
    """Return the populations by name, some of them fitted to the respondents."""
    rough = CumulativeNetwork(penalty=8.0, linear_penalty=0.5, linear_drugs=(), forest_share=0.0, random_state=SEED)
    fitted = make_pipeline(rough).fit(respondents.X, respondents.last_use)[-1]
    return {
        "cohort": Cohort.load().predictor,
        "rough": Predictor(**fitted.arrays()),
        "forest": _Forest(respondents),
    }


def groups(rng: np.random.Generator) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the people to measure with: a name, and rows of shape (n, 12)."""
    cohort = Cohort.load()
    yield _RANDOM_PEOPLE, cohort.rows(_RANDOM, rng)
    drawn = cohort.rows(_DRAWN, rng)
    for i, category in enumerate(codebook.CATEGORIES):
        for code, label in enumerate(category.labels):
            yield f"{category.name}: {label}", drawn[drawn[:, i] == code][:_EACH_LEVEL]
    *_, distances = laplace.score_distances(drawn)
    yield "scores far out", drawn[distances.argsort()[-_FAR:]]
    levels = [rng.integers(0, len(category.labels), _UNIFORM) for category in codebook.CATEGORIES]
    yield "uniform", np.column_stack([*levels, *(rng.uniform(*score.bounds(), _UNIFORM) for score in codebook.SCORES)])


def measure(respondents: Respondents, config: Configuration, console: Console, draws: int = DRAWS) -> list[Result]:
    """Return the coverage by population, people and drug; each draw takes a fit of the model.

    Parameters
    ----------
    respondents : Respondents
        Each draw has as many; the rough population and the forest are fitted to them.
    config : Configuration
    console : rich.console.Console
        Shows the progress.
    draws : int
        Of each population.
    """
    results = []
    for name, population in populations(respondents).items():
        seeds = range(SEED, SEED + draws)
        fits = [
            list(_measure_draw(population, len(respondents), config, seed))
            for seed in track(seeds, f"coverage, {name}", console=console, transient=True)
        ]
        for same in zip(*fits, strict=True):
            people = same[0][0]
            inside, width, similar = (np.array(figures) for figures in zip(*(fit[1:] for fit in same), strict=True))
            for i, drug in enumerate(("all", *codebook.DRUGS)):
                if i and people != _RANDOM_PEOPLE:
                    break
                of = slice(None) if i == 0 else [i - 1]
                by_draw = inside[:, of].mean(axis=1)
                figures = (by_draw.mean(), by_draw.min(), width[:, of].mean())
                rounded = [round(float(figure), 4) for figure in figures]
                results.append(Result._make([name, people, drug, *rounded, round(float(similar.mean()), 1)]))
    return results


def _measure_draw(
    population: _Population, n: int, config: Configuration, seed: int
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64], float]]:
    """Yield the coverage and the mean width by drug, and the median support, of each group of people for one draw."""
    rng = np.random.default_rng(seed)
    cohort = Cohort.load()
    rows = cohort.rows(n, rng)
    cohort.predictor = population  # type: ignore[assignment]  # it needs only the probabilities
    estimator = config.estimator.make_estimator(seed)
    fitted = make_pipeline(estimator).fit(rows, cohort.last_use(rows, rng))[-1]
    predictor = Predictor(**fitted.arrays())
    made = laplace.fit(predictor, rows, config.estimator.linear_penalty, config.estimator.leave_out)
    uncertainty = Uncertainty.read(io.BytesIO(made.content))
    for people, members in groups(rng):
        low, high = uncertainty.intervals(members, predictor.predict_proba(members))[..., codebook.DECADE]
        known = population.predict_proba(members)[..., codebook.DECADE]
        inside = ((low <= known) & (known <= high)).mean(axis=0)
        similar = float(np.median(uncertainty.support(members).similar))
        yield people, inside, (high - low).mean(axis=0), similar


def tables(results: list[Result]) -> list[Table]:
    """Return a table of the coverage by drug, and one by group of people."""
    by_drug = [result for result in results if result.people == _RANDOM_PEOPLE]
    by_people = [result for result in results if result.drug == "all"]
    return [
        _table("Coverage of 90% intervals by drug, decade", "drug", {(r.population, r.drug): r for r in by_drug}),
        _table(
            "Coverage of 90% intervals by people, decade", "people", {(r.population, r.people): r for r in by_people}
        ),
    ]


def _table(title: str, heading: str, results: Mapping[tuple[str, str], Result]) -> Table:
    names = list(dict.fromkeys(population for population, _ in results))
    rows = []
    for of in dict.fromkeys(of for _, of in results):
        first = results[names[0], of]
        shares = [f"{results[name, of].coverage:.3f}" for name in names]
        rows.append((of, *shares, f"{first.width:.2f}", f"{first.similar:.0f}"))
    return Table(title, (heading, *names, "width (cohort)", "similar (cohort)"), rows)
