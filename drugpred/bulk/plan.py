"""A plan of a run: its files and parts, found without writing anything."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from drugpred import __version__
from drugpred.bulk.column_mapping import ID
from drugpred.bulk.columnar_network import ColumnarNetwork
from drugpred.bulk.executors import Task
from drugpred.bulk.formats import open_source
from drugpred.bulk.inputs import find, is_one_file
from drugpred.bulk.job import Job, UncertainNetwork
from drugpred.bulk.sink import FILE, FORMATS, LINE, MARK_START, Sink
from drugpred.bulk.storage import LocalPlace, Remote, RemotePlace, location, parse
from drugpred.data.files import path_text, same_file
from drugpred.errors import ConfigurationError, DataError
from drugpred.schemas import column_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drugpred.bulk.inputs import State
    from drugpred.bulk.job import Network
    from drugpred.bulk.source import Source
    from drugpred.bulk.storage import File, Place
    from drugpred.codebook import Drug, Scale, Window
    from drugpred.model_store import StoredModel
    from drugpred.schemas import ColumnAddition

_THREADS: Final = 16  # that wait for the storage


class Options(NamedTuple):
    """Options of the predictions, and the names of the file's columns."""

    drugs: Sequence[Drug]
    window: Window
    scale: Scale
    include: Sequence[ColumnAddition] = ()
    keep: Sequence[str] = ()
    """Headings of columns to carry over."""
    exact: bool = False
    """Whether probabilities are computed and written in double precision."""


class Plan(NamedTuple):
    """The files and parts of a run."""

    inputs: Sequence[str | Path]
    files: dict[File, State]
    options: Options
    model: str
    sink: Sink
    tasks: list[Task]

    @property
    def rows(self) -> int:
        """Number of lines or rows."""
        return sum(task.rows for task in self.tasks)

    def require_unchanged(self) -> None:
        """Raise `DataError` if a file is not as it was; more files in a folder are no change."""
        states = find(self.inputs)
        for file, state in self.files.items():
            if states.get(file) != state:
                raise DataError(f"expected {location(file)} not to change while it is read")


def plan(inputs: str | Path | Sequence[str | Path], output: str | Path, model: StoredModel, options: Options) -> Plan:
    """Open all files and check their columns and the output's name; nothing is written.

    Parameters
    ----------
    inputs : str or pathlib.Path, or a sequence of them
        Paths or URLs of CSV or Parquet, by the endings of their names, see `drugpred.bulk.inputs.find`.
    output : str or pathlib.Path
        A file, CSV or Parquet by the ending of its name. A folder, or a path or URL that ends in a slash, becomes a
        data set of Parquet.
    model : StoredModel
    options : Options

    Raises
    ------
    DataError
        A file cannot be read, or has unexpected columns.
    ConfigurationError
        A name has an unknown ending, or an input is in the place of the output.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    place, name, ending = _target(output)
    files = find(inputs)
    _check_inputs(inputs, files, place, name, ending)
    one_file = is_one_file(inputs, files)
    with ThreadPoolExecutor(1 if one_file else _THREADS) as pool:
        sources = list(pool.map(partial(open_source, keep=options.keep), files))
    schema, carried = _schema(sources[0], model, options, one_file)
    for source in sources[1:]:
        if _schema(source, model, options, one_file)[0] != schema:
            first = location(sources[0].path)
            raise DataError(f"expected the id and the kept columns of {location(source.path)} to be as in {first}")
    network: Network = ColumnarNetwork(model.predictor, options.drugs, options.window, exact=options.exact)
    if options.include:
        network = UncertainNetwork(model, options.drugs, options.window, options.include)
    states = [(location(file), state) for file, state in files.items()]
    mark = _mark(states, model.tag, options, ending, __version__)
    sink = Sink(place, name, ending, schema, carried, None, mark)
    tasks: list[Task] = []
    for source in sources:
        file = None if one_file else location(source.path)
        job = Job(source, network, options.scale, sink._replace(file=file), len(tasks))
        tasks += [Task(job, job.first + i) for i in range(len(source.parts))]
    return Plan(inputs, files, options, str(model.tag), tasks[0].job.sink if tasks else sink, tasks)


def _mark(*parts: object) -> str:
    """Return the mark of a run with this input, model and options."""
    return f'{MARK_START}"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"}}'


def _target(output: str | Path) -> tuple[Place, str, str]:
    """Return the place and the name of an output, and its ending if it is one file."""
    is_folder = str(output).endswith(("/", os.sep))
    expected = ConfigurationError("expected an output at a URL to be a folder in a bucket or in HDFS, which ends in /")
    if isinstance(output, str) and "://" in output and (not is_folder or output.lower().startswith("http")):
        raise expected
    file = parse(output)
    if isinstance(file, Remote):
        folder, _, name = file.path.rpartition("/")
        if not folder:
            raise expected
        return RemotePlace(Remote(file.url, folder)), name, ""
    if is_folder or file.is_dir():
        file = Path(os.path.realpath(file))
        return LocalPlace(file.parent, f"{file.name}.parts"), file.name, ""
    if file.suffix.lower() not in FORMATS:
        ending = " or ".join(FORMATS)
        raise ConfigurationError(
            f"expected an output whose name ends in {ending}, or in / for a folder, found {path_text(Path(file.name))}"
        )
    return LocalPlace(file.parent, f"{file.name}.parts"), file.name, file.suffix.lower()


def _check_inputs(inputs: Sequence[str | Path], files: Iterable[File], place: Place, name: str, ending: str) -> None:
    """Raise `ConfigurationError` if an input is in the place of the output, or the output in that of an input."""

    def at(ending: str) -> File:
        if isinstance(place.folder, Path):
            return place.folder / f"{name}{ending}"
        return Remote(place.folder.url, f"{place.folder.path}/{name}{ending}")

    outputs = [at(""), at(".rejected.csv" if ending else ".rejected"), at(".parts"), at(".manifest.json")]
    resolved = [_resolved(output) for output in outputs]
    for file in files:
        same = isinstance(file, Path) and any(same_file(file, output) for output in outputs if isinstance(output, Path))
        if same or any(_is_inside(_resolved(file), output) for output in resolved):
            raise ConfigurationError("expected an output other than the input")
    if any(_is_inside(resolved[0], _resolved(parse(one))) for one in inputs):
        raise ConfigurationError("expected an output outside of the input")


def _resolved(file: File) -> File:
    return Path(os.path.realpath(file)) if isinstance(file, Path) else file


def _is_inside(file: File, folder: File) -> bool:
    if isinstance(file, Path) and isinstance(folder, Path):
        return file.is_relative_to(folder)
    if isinstance(file, Remote) and isinstance(folder, Remote):
        return f"{file.path}/".startswith(f"{folder.path}/") and file.filesystem == folder.filesystem
    return False


def _schema(source: Source, model: StoredModel, options: Options, one_file: bool) -> tuple[pa.Schema, tuple[str, ...]]:
    """Return the columns of the output, and the names of those that are no predictions."""
    if source.mapping.id is not None:
        carried = [(ID, source.id_type)]
    else:
        carried = [(LINE, pa.int64())] if one_file else [(FILE, pa.string()), (LINE, pa.int64())]
    carried += zip(options.keep, source.kept_types, strict=True)
    metadata = {"drugpred.model": model.tag, "drugpred.window": options.window}
    types = {"similar": pa.int64(), "percentile": pa.int64(), "level": pa.string()}
    probability = pa.float64() if options.exact else pa.float32()
    names = column_names(options.drugs, options.include)
    # Never null, which makes them faster to write.
    predicted = [pa.field(name, types.get(name, probability), nullable=False) for name in names]
    names = [*(name for name, _ in carried), *names]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"expected to keep other columns than those of the output: {', '.join(sorted(twice))}")
    return pa.schema([*carried, *predicted], metadata), tuple(name for name, _ in carried)
