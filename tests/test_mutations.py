"""The table of mutations fits the code: each text is there once, and each test by its name."""

import ast

import pytest

from tests.harness import ROOT
from tests.mutations import MUTATIONS


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutation_changes_one_place_and_names_its_tests(mutation):
    content = (ROOT / mutation.path).read_text("utf-8")
    assert content.count(mutation.old) == 1
    changed = ast.dump(ast.parse(content.replace(mutation.old, mutation.new)))
    assert changed != ast.dump(ast.parse(content))
    for test in mutation.named_tests().split():
        path, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / path).read_text("utf-8")
