"""`import drugpred` is quick, and its names are found when they are used."""

import re
import subprocess
import sys

import pytest

import drugpred
from tests.harness import ROOT


def test_the_import_is_quick():
    command = [sys.executable, "-X", "importtime", "-c", "import drugpred"]
    best = min(
        int(re.search(r"\| +(\d+) \| drugpred$", done.stderr, re.MULTILINE)[1])
        for done in (subprocess.run(command, cwd=ROOT, capture_output=True, text=True) for _ in range(3))
    )
    assert best < 50_000  # microseconds


def test_names_are_found_and_listed():
    names = {"Model", "load", "load_data", "load_pipeline", "simulate"}
    assert names <= set(dir(drugpred))
    assert all(callable(getattr(drugpred, name)) for name in names)
    stub = (ROOT / "drugpred" / "__init__.pyi").read_text(encoding="utf-8")
    assert set(re.findall(r"as (\w+)", stub)) == names


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        drugpred.lode  # noqa: B018
