"""What all commands share: errors in a line, whole summaries, and standard output."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drugpred.errors import ending, needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

FilePath = partial(click.Path, dir_okay=False, path_type=Path)


class _Ended(click.ClickException):
    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code  # type: ignore[misc]  # click has one exit code for each class


class Command(click.Command):
    """A command that reports an error in one line, with exit status 2, or 130 if it was interrupted.

    Parameters
    ----------
    extra : str
        Extra of this package that the command needs.
    kept : str
        What an interrupted command keeps, and how to continue; may name its parameters in braces.
    """

    def __init__(self, *, extra: str = "bulk", kept: str = "no file was changed", **others: Any) -> None:  # noqa: ANN401
        super().__init__(**others)
        self._extra, self._kept = extra, kept

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - click's own would cut it
        """Return the first sentence of the help, whole."""
        sentence, _, _ = " ".join((self.help or "").split()).partition(". ")
        return f"{sentence.removesuffix('.')}."

    def make_context(self, *args: Any, **others: Any) -> click.Context:  # noqa: ANN401 - click's
        """Parse the options."""
        with self._errors_in_a_line({}):
            return super().make_context(*args, **others)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with self._errors_in_a_line(ctx.params):
            return super().invoke(ctx)

    @contextmanager
    def _errors_in_a_line(self, parameters: Mapping[str, Any]) -> Iterator[None]:
        try:
            with needs(self._extra):
                yield
        except BaseException as error:
            named = {name: click.format_filename(v) if isinstance(v, Path) else v for name, v in parameters.items()}
            ended = ending(error, self._kept.format_map(named) if named else self._kept, named.get("output"))
            if ended is None:
                raise
            raise _Ended(*ended) from error


def did_you_mean(text: str, names: Sequence[str]) -> str:
    """Return the end of a message that suggests the nearest name; empty if none is near."""
    from difflib import get_close_matches

    folded = {name.casefold(): name for name in reversed(names)}
    return "".join(f"; did you mean {folded[name]}?" for name in get_close_matches(text.casefold(), folded, 1))


@contextmanager
def ended_by_sigpipe() -> Iterator[None]:
    """End by SIGPIPE, like cat, if standard output is closed."""
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


@contextmanager
def stdout() -> Iterator[BinaryIO]:
    """Return a context manager of standard output, for bytes."""
    with ended_by_sigpipe():
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


def is_stdout(path: Path) -> bool:
    """Return whether a path names standard output: -, /dev/stdout, or the file that it is redirected to."""
    try:
        return str(path) == "-" or os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


def text_table(*rows: Sequence[str]) -> str:
    """Return rows of text as columns, the first one aligned to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)
