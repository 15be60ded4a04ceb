"""A whole run: what `drugpred score` does. Killed at any moment, the same run goes on where it was.

Beside the output stands a folder of finished parts until all are one file. It belongs to one run: the same content of
the input, the same model and the same options. That of another run is thrown away.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
from filelock import FileLock, Timeout
from rich.progress import Progress

from drugpred import __version__
from drugpred.bulk import engines
from drugpred.bulk.csv_source import CsvSource
from drugpred.bulk.headings import ID
from drugpred.bulk.job import LINE, Job
from drugpred.bulk.network import Network
from drugpred.bulk.outputs import Counts, Parts, join, join_rejected, whole
from drugpred.bulk.parquet_source import ParquetSource
from drugpred.bulk.source import FORMATS
from drugpred.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from drugpred.bulk.source import Source
    from drugpred.bundle import Bundle
    from drugpred.codebook import Drug, Window
    from drugpred.columns import Scale

__all__ = ["Options", "rejected_path", "score"]

_EDGE: Final = 1 << 16
_KEY: Final = "run.json"


class Options(NamedTuple):
    """What to tell of each row, and how the file spells it."""

    drugs: Sequence[Drug]
    window: Window
    scale: Scale


def rejected_path(output: Path) -> Path:
    """Return where rows that cannot be scored are told."""
    return output.with_name(f"{output.name}.rejected.csv")


def score(
    path: Path,
    output: Path,
    bundle: Bundle,
    options: Options,
    console: Console,
    engine: str = "local",
    cluster: str | None = None,
) -> Counts:
    """Score every row of a file.

    The output has a column of probabilities for each drug, after the id, or the line where there is none. Rows that
    cannot be scored are told in a file beside it, which is not there where all were.

    Parameters
    ----------
    path, output : pathlib.Path
        Files in CSV or Parquet, by their names.
    bundle : Bundle
    options : Options
    console : rich.console.Console
        For the progress.
    engine : str
        ``local`` or ``dask``.
    cluster : str, optional
        Address of a Dask scheduler.

    Raises
    ------
    DataError
        The file cannot be read, changes meanwhile, or has other columns than expected.
    ConfigurationError
        A name tells no format, another run writes the same output, or the engine is not there.
    OSError
        The output cannot be written.
    """
    path, output = path.absolute(), output.absolute()
    for file in (path, output):
        if file.suffix.lower() not in FORMATS:
            raise ConfigurationError(f"expected a name that ends in {' or '.join(FORMATS)}, and not {file.name}")
    if path == output:
        raise ConfigurationError("expected another file for the output than the input")
    source = (CsvSource if path.suffix.lower() == ".csv" else ParquetSource).open(path)
    key = _key(path, bundle, options, output)
    folder = output.with_name(f"{output.name}.parts")
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            _keep(folder, key)
            parts = Parts(folder, _schema(source, bundle, options), output.suffix.lower())
            job = Job(source, Network(bundle.predictor, options.drugs, options.window), options.scale, parts)
            _work(job, console, engine, cluster)
            if _key(path, bundle, options, output) != key:
                raise DataError(f"expected {path} not to change while it is read")
            counts = _finish(parts, len(source.parts), output)
            shutil.rmtree(folder)
    except Timeout:
        raise ConfigurationError(f"expected no other run that writes {output}") from None
    return counts


def _key(path: Path, bundle: Bundle, options: Options, output: Path) -> str:
    """Return what makes runs the same: the input by its size, time, beginning and end, the model and the options."""
    try:
        state = path.stat()
        with path.open("rb") as file:
            edges = file.read(_EDGE)
            file.seek(max(0, state.st_size - _EDGE))
            edges += file.read(_EDGE)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    digest = hashlib.sha256(edges).hexdigest()
    same = [str(path), state.st_size, state.st_mtime_ns, digest, bundle.tag, *options, output.suffix, __version__]
    return json.dumps(same)


def _keep(folder: Path, key: str) -> None:
    """Empty the folder unless its parts are of this run."""
    kept = folder / _KEY
    if kept.is_file() and kept.read_text(encoding="utf-8") == key:
        return
    kept.unlink(missing_ok=True)
    for file in folder.iterdir():
        if file.name != "lock":
            file.unlink()
    with whole(kept) as into:
        into.write(key.encode())


def _schema(source: Source, bundle: Bundle, options: Options) -> pa.Schema:
    name = LINE if source.headings.id is None else ID
    kind = pa.int64() if source.headings.id is None else source.id_type
    told = {"drugpred.model": bundle.tag, "drugpred.window": options.window}
    return pa.schema([(name, kind), *((drug, pa.float64()) for drug in options.drugs)], told)


def _work(job: Job, console: Console, engine: str, cluster: str | None) -> None:
    parts = job.source.parts
    left = [number for number in range(len(parts)) if job.outputs.counts(number) is None]
    total, to_do = sum(part.size for part in parts), sum(parts[number].size for number in left)
    with Progress(console=console) as progress:
        task = progress.add_task("scoring", total=total, completed=total - to_do)
        run = partial(engines.on_dask, address=cluster) if engine == "dask" else engines.on_this_core
        if left:
            run(job, left, partial(progress.advance, task))


def _finish(parts: Parts, n_parts: int, output: Path) -> Counts:
    counted = [parts.counts(number) or Counts(0, 0) for number in range(n_parts)]
    counts = Counts(sum(part.scored for part in counted), sum(part.rejected for part in counted))
    told = rejected_path(output)
    if counts.rejected:
        join_rejected(parts, n_parts, told)
    else:
        told.unlink(missing_ok=True)
    join(parts, n_parts, output)
    return counts
