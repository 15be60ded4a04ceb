"""Files of people, and a model of which no test needs to wait for the training."""

import csv
import io
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from rich.console import Console

from drugpred.bulk import csv_source, parquet_source
from drugpred.bulk.job import Job
from drugpred.bulk.run import Options, plan, score
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES
from drugpred.data.simulator import Cohort
from drugpred.model_store import StoredModel
from drugpred.training import laplace
from drugpred.uncertainty import Uncertainty
from tests.harness.s3 import serving


@pytest.fixture(scope="session")
def model() -> StoredModel:
    """What a run needs of a stored model: a tag, the predictor that ships with the cohort, and its uncertainty."""
    cohort = Cohort.load()
    made = laplace.fit(cohort.predictor, cohort.rows(2000, np.random.default_rng(0)), 2.0)
    uncertainty = Uncertainty.read(io.BytesIO(made.content))
    return StoredModel("drug_consumption:test", Path(), None, cohort.predictor, None, uncertainty)


@pytest.fixture(scope="session")
def people() -> np.ndarray:
    """Rows of 5000 people."""
    return Cohort.load().rows(5000, np.random.default_rng(3))


@pytest.fixture
def run(model):
    """Score a file as the command does."""

    def run(path, output, drugs=DRUGS, window="decade", scale="standardized", include=(), keep=(), **others):
        options = Options(drugs, window, scale, include, keep)
        done = score(plan(path, output, model, options), Console(file=StringIO()), **others)
        return done.scored, done.rejected

    return run


@pytest.fixture
def table():
    """Rows as a table with the names of a profile, labels as published."""

    def table(rows, **columns):
        made = {
            category.name: pa.DictionaryArray.from_arrays(rows[:, i].astype("i1"), pa.array(category.labels))
            for i, category in enumerate(CATEGORIES)
        }
        made |= {score.name: rows[:, i] for i, score in enumerate(SCORES, len(CATEGORIES))}
        return pa.table(made | columns)

    return table


@pytest.fixture
def write(tmp_path):
    """Write a table as a file, in either format."""

    def write(name, table, **options):
        path = tmp_path / name
        if path.suffix == ".parquet":
            parquet.write_table(table, path, **options)
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(table.column_names)
                writer.writerows(zip(*table.to_pydict().values(), strict=True))
        return path

    return write


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parquet_source, "_PART_ROWS", 500)
    monkeypatch.setattr(csv_source, "_PART_BYTES", 50_000)


@pytest.fixture
def many_parts(people, table, write, small_parts):
    """Write a file of people in parts of 500 or fewer, with bad rows in some."""
    rows = people.copy()
    rows[::700, 6] = 99

    def made(name, n=None):
        return write(name, table(rows[:n]), **({"row_group_size": 500} if name.endswith("parquet") else {}))

    return made


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """The log of a real S3 server, which has its address and its keys in the environment."""
    log = tmp_path_factory.mktemp("s3") / "log"
    with (
        serving(log) as environment,
        pytest.MonkeyPatch.context() as patched,
    ):
        for name, value in environment.items():
            patched.setenv(name, value)
        yield log


@pytest.fixture
def worked(monkeypatch):
    """The numbers of parts that are worked on."""
    numbers, work = [], Job.score_part

    def record(self, number, advance=None):
        numbers.append(number)
        return work(self, number, advance)

    monkeypatch.setattr(Job, "score_part", record)
    return numbers


def rejected_path(output):
    """Return the file of the rejected rows of an output that is a file."""
    return output.with_name(f"{output.name}.rejected.csv")


def files(output):
    """Return the output of a run: the scored rows and the rejected ones."""
    return output.read_bytes(), rejected_path(output).read_bytes()


@pytest.fixture
def found():
    """Read an output: the key column, and probabilities of shape (n, drugs)."""

    def found(path):
        if path.suffix == ".parquet":
            columns = parquet.read_table(path).to_pydict()
        else:
            with path.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            columns = dict(
                zip(header, map(list, zip(*rows, strict=True)) if rows else [[] for _ in header], strict=True)
            )
        key, *drugs = columns
        values = [np.array(columns[drug], np.float64) for drug in drugs]
        return (key, drugs), columns[key], np.column_stack(values)

    return found


@pytest.fixture
def rejected():
    """Return the rejected rows: lines, columns and expected values."""

    def rejected(output):
        path = rejected_path(output)
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["line", "column", "expected"]
        return [(int(line), column, expected) for line, column, expected in rows]

    return rejected


@pytest.fixture
def line():
    """Return the line of a CSV for a person, with some cells changed."""
    person = {
        "age": "25",
        "gender": "F",
        "education": "University degree",
        "country": "UK",
        "ethnicity": "White",
    } | dict.fromkeys(INPUTS[len(CATEGORIES) :], "0.5")

    def line(**changes):
        return ",".join((person | changes).values()) + "\n"

    line.header = ",".join(INPUTS) + "\n"
    return line


def contents(folder):
    """Return the content of each file of a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
