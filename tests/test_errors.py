"""Errors that carry more than a message."""

import errno
import pickle
import signal
import subprocess
import sys

import pytest

from drugpred import errors
from drugpred.errors import (
    DataError,
    Detail,
    InvalidRequestError,
    MissingPackageError,
    RateLimitedError,
    UnavailableError,
    ending,
    interrupted_later,
    needs,
    reason,
)
from drugpred.training.promotion import PromotionError


def test_the_tree_is_as_it_is_drawn():
    drawn = [line.split() for line in errors.__doc__.splitlines() if "── " in line]
    names = {next(word for word in words if word.endswith("Error")) for words in drawn} | {"DrugpredError"}
    assert names == {name for name in vars(errors) if name.endswith("Error")}
    for words in drawn:
        if words[-1].isupper():
            error = getattr(errors, next(word for word in words if word.endswith("Error")))
            assert (str(error.status), error.code) == (words[-2], words[-1])


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ([Detail(("age",), "expected 18 or more")], "age: expected 18 or more"),
        ([Detail(("profiles", 3, "age"), "a"), Detail((), "b")], "profiles.3.age: a; b"),
        ([Detail((i,), "a") for i in range(5)], "0: a; 1: a; 2: a; and 2 more"),
    ],
)
def test_refusals_read_well(detail, text):
    assert str(InvalidRequestError(detail)) == f"the request is malformed: {text}"


@pytest.mark.parametrize(
    "error", [InvalidRequestError([Detail(("age",), "a")]), UnavailableError("a", 3.0), RateLimitedError("b", 7.0)]
)
def test_errors_pass_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), "out.csv: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), "here: No space left on device"),
        (OSError(errno.ENOSPC, ""), "here: No space left on device"),
        (OSError("4096 requested and 0 written"), "4096 requested and 0 written"),
        (TimeoutError(), "TimeoutError"),
        (RuntimeError("the reason\nand much more"), "the reason"),
    ],
)
def test_a_reason_is_a_line_and_never_unknown(error, expected):
    assert reason(error, "here") == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError("expected a number", line=3), ("line 3: expected a number", 2)),
        (PromotionError("worse"), ("worse", 3)),
        (PermissionError(errno.EACCES, "Permission denied", "a"), ("a: Permission denied", 2)),
        (KeyboardInterrupt(), ("interrupted: parts are kept", 130)),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), None),
        (ValueError("a bug"), None),
        (SystemExit(4), None),
    ],
)
def test_commands_end_in_a_line_but_for_bugs(error, expected):
    assert ending(error, "parts are kept") == expected


def test_only_packages_of_others_are_missing():
    said = r"expected the package absent, which is not installed: pip install -e '\.\[extra\]' in the checkout$"
    with pytest.raises(MissingPackageError, match=said) as told, needs("other"), needs("extra"):
        import absent.module  # noqa: F401
    assert isinstance(told.value, ModuleNotFoundError)
    with pytest.raises(ModuleNotFoundError) as told, needs("extra"):
        import drugpred.absent  # noqa: F401
    assert not isinstance(told.value, MissingPackageError)


def test_processes_are_not_interrupted_and_their_starter_is_later():
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    said = []
    with pytest.raises(KeyboardInterrupt), interrupted_later():
        signal.raise_signal(signal.SIGINT) or said.append(subprocess.check_output([sys.executable, "-c", code]))
    assert said == [b"True\n"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
