"""A whole run of `drugpred score`. If it is killed, the same command continues where it stopped.

During a run a folder next to the output holds the finished parts. It belongs to one run: the same content of the input,
the same model and the same options. Finished parts of another run are removed, with a line on the console. Only an
older output and its file of rejected rows are replaced. Any other file or folder in their place is an error, and so is
an input that is one of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
from filelock import FileLock, Timeout
from rich.progress import Progress

from drugpred import __version__
from drugpred.bulk import executors
from drugpred.bulk.column_mapping import ID
from drugpred.bulk.columnar_network import ColumnarNetwork
from drugpred.bulk.formats import open_source
from drugpred.bulk.job import LINE, Job, UncertainNetwork
from drugpred.bulk.sink import REJECTED, Counts, Sink
from drugpred.bulk.source import FORMATS
from drugpred.data.files import open_atomic, path_text, same_file
from drugpred.errors import ConfigurationError, DataError, reason
from drugpred.schemas import column_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from drugpred.bulk.job import Network
    from drugpred.bulk.source import Source
    from drugpred.codebook import Drug, Scale, Window
    from drugpred.model_store import StoredModel
    from drugpred.schemas import ColumnAddition

_EDGE_BYTES: Final = 1 << 16
_MARKER: Final = "run.json"
_MARKER_START: Final = '{"drugpred score": '  # start of the file that marks a folder as one of a run
_FILE_NAME: Final = re.compile(
    r"lock|(run\.json|[0-9]{6,}((\.rejected)?\.csv|\.parquet|\.json))(\.[0-9a-f]{32})?|joined(\.parquet|(\.rejected)?\.csv)"
)
"""Names of the files in such a folder."""


class Options(NamedTuple):
    """Options of the predictions, and the names of the file's columns."""

    drugs: Sequence[Drug]
    window: Window
    scale: Scale
    include: Sequence[ColumnAddition] = ()
    exact: bool = False


def rejected_path(output: Path) -> Path:
    """Return the path of the file of rejected rows."""
    return output.with_name(f"{output.name}.rejected.csv")


def score(
    path: Path,
    output: Path,
    model: StoredModel,
    options: Options,
    console: Console,
    engine: str = "local",
    cluster: str | None = None,
) -> Counts:
    """Score every row of a file.

    The output has the id, or the line if there is no id, and a column of probabilities for each drug. Rows that cannot
    be scored are listed in a file next to it, if there are any. On request it has the bounds of each probability and
    the support of each person too, see `drugpred.schemas.column_names`.

    Parameters
    ----------
    path, output : pathlib.Path
        CSV or Parquet files, by their names' endings; the input may be gzipped.
    model : StoredModel
    options : Options
    console : rich.console.Console
        Shows the progress.
    engine : str
        ``local`` or ``dask``.
    cluster : str, optional
        Address of a Dask scheduler.

    Raises
    ------
    DataError
        The file cannot be read, changes during the run, or has unexpected columns.
    ConfigurationError
        A name has an unknown ending, another run writes the same output, a file that no run has made is in the way, or
        the engine is not installed.
    OSError
        The output cannot be written.
    """
    path, output = path.absolute(), output.absolute()
    if output.suffix.lower() not in FORMATS:
        ending = " or ".join(FORMATS)
        raise ConfigurationError(
            f"expected an output whose name ends in {ending}, found {path_text(Path(output.name))}"
        )
    folder = output.with_name(f"{output.name}.parts")
    _check_paths(path, output, folder)
    source = open_source(path)
    key = _key(path, model, options, output)
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            _remove_other_parts(folder, key, console)
            sink = Sink(folder, _schema(source, model, options), output.suffix.lower())
            network: Network = ColumnarNetwork(model.predictor, options.drugs, options.window, exact=options.exact)
            if options.include:
                network = UncertainNetwork(model, options.drugs, options.window, options.include)
            _score_parts(Job(source, network, options.scale, sink), console, engine, cluster)
            if _key(path, model, options, output) != key:
                raise DataError(f"expected {path_text(path)} not to change while it is read")
            counts = sink.join(len(source.parts), output, rejected_path(output))
            for file in _files(folder):
                file.unlink()
            with suppress(OSError):  # another program has put a file there
                folder.rmdir()
    except Timeout:
        raise ConfigurationError(f"expected no other run with the output {path_text(output)}") from None
    return counts


def _check_paths(path: Path, output: Path, folder: Path) -> None:
    """Raise `ConfigurationError` if writing would overwrite the input or a file that no run has made."""
    rejected = rejected_path(output)
    if same_file(path, output) or same_file(path, rejected) or same_file(Path(os.path.realpath(path)).parent, folder):
        raise ConfigurationError("expected an output other than the input")
    for file in (output, rejected):
        if file.exists() and not file.is_file():
            raise ConfigurationError(f"expected {path_text(file)} to be a regular file, or missing")
    if rejected.exists():
        with rejected.open("rb") as lines:
            if lines.readline(len(REJECTED)) != REJECTED:
                raise ConfigurationError(f"expected {path_text(rejected)} to be from an earlier run, or missing")
    if folder.is_symlink() or (folder.exists() and not _is_parts_folder(folder)):
        raise ConfigurationError(f"expected {path_text(folder)} to be a folder from an earlier run, or missing")


def _is_parts_folder(folder: Path) -> bool:
    """Return whether a run has made a folder and all of its files."""
    if not folder.is_dir() or len(_files(folder)) != len(list(folder.iterdir())):
        return False
    marker = folder / _MARKER
    if marker.is_file():
        with marker.open(encoding="utf-8", errors="replace") as text:
            return text.read(len(_MARKER_START)) == _MARKER_START
    # A run that was killed before it marked the folder leaves only a lock.
    return all(file.name == "lock" or file.name.startswith(_MARKER) for file in folder.iterdir())


def _files(folder: Path) -> list[Path]:
    """Return the files in a folder that runs make."""
    return [file for file in folder.iterdir() if _FILE_NAME.fullmatch(file.name) and file.is_file()]


def _key(path: Path, model: StoredModel, options: Options, output: Path) -> str:
    """Return the key of a run: the input's size, time, start and end, the model and the options."""
    try:
        state = path.stat()
        with path.open("rb") as file:
            edges = file.read(_EDGE_BYTES)
            file.seek(max(0, state.st_size - _EDGE_BYTES))
            edges += file.read(_EDGE_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {reason(error, path)}") from error
    digest = hashlib.sha256(edges).hexdigest()
    same = [str(path), state.st_size, state.st_mtime_ns, digest, model.tag, *options, output.suffix, __version__]
    return json.dumps({"drugpred score": same})


def _remove_other_parts(folder: Path, key: str, console: Console) -> None:
    """Remove the parts of any other run, and mark the folder for this one."""
    marker = folder / _MARKER
    if marker.is_file():
        if marker.read_text(encoding="utf-8") == key:
            return
        console.print(
            f"{path_text(folder)} belonged to another input, model or options: its parts are removed", markup=False
        )
    # Counts first: a part without counts is not done, if this is killed.
    for file in sorted(_files(folder), key=lambda file: file.suffix != ".json"):
        if file not in (folder / "lock", marker):
            file.unlink()
    with open_atomic(marker) as content:
        content.write(key.encode())


def _schema(source: Source, model: StoredModel, options: Options) -> pa.Schema:
    row = (LINE, pa.int64()) if source.mapping.id is None else (ID, source.id_type)
    metadata = {"drugpred.model": model.tag, "drugpred.window": options.window}
    probability = pa.float64() if options.exact else pa.float32()
    types = {"similar": pa.int64(), "percentile": pa.int64(), "level": pa.string()}
    names = column_names(options.drugs, options.include)
    # Never null, which makes them faster to write.
    fields = [pa.field(name, types.get(name, probability), nullable=False) for name in names]
    return pa.schema([row, *fields], metadata)


def _score_parts(job: Job, console: Console, engine: str, cluster: str | None) -> None:
    parts = job.source.parts
    unfinished = [number for number in range(len(parts)) if job.sink.counts(number) is None]
    total, remaining = sum(part.size for part in parts), sum(parts[number].size for number in unfinished)
    with Progress(console=console) as progress:
        task = progress.add_task("scoring", total=total, completed=total - remaining)
        run = partial(executors.run_on_dask, address=cluster) if engine == "dask" else executors.run_locally
        if unfinished:
            run(job, unfinished, partial(progress.advance, task))
