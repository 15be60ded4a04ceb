"""`import drugpred` loads no library, and its names are found when they are used."""

import re
import subprocess
import sys

import pytest

import drugpred
from tests.harness import ROOT, imported


def test_the_import_loads_the_standard_library_alone():
    def loaded(code):
        command = [sys.executable, "-X", "importtime", "-c", code]
        return imported(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr)

    added = loaded("import drugpred") - loaded("pass")
    assert {name for name in added if name.partition(".")[0] not in sys.stdlib_module_names} == {"drugpred"}
    assert "asyncio" not in added  # it takes longer than all the rest


def test_names_are_found_and_listed():
    names = {"Model", "load", "load_data", "load_pipeline", "simulate"}
    assert names <= set(dir(drugpred))
    assert all(callable(getattr(drugpred, name)) for name in names)
    stub = (ROOT / "drugpred" / "__init__.pyi").read_text(encoding="utf-8")
    assert set(re.findall(r"as (\w+)", stub)) == names


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        drugpred.lode  # noqa: B018
