"""The configuration: the files that ship are valid, and anything malformed is refused with its place."""

from pathlib import Path

import pytest

from drugpred.errors import ConfigurationError
from drugpred.training.configuration import read

ROOT = Path(__file__).parents[2]
DEFAULT = (ROOT / "configs" / "train.yaml").read_text(encoding="utf-8")


@pytest.fixture
def refusal(tmp_path):
    """What is said of a file with some content, given as text or bytes."""

    def refuse(content):
        path = tmp_path / "train.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ConfigurationError) as caught:
            read(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    return refuse


def test_the_default_is_valid():
    config = read(ROOT / "configs" / "train.yaml")
    assert (config.seed, config.overclaimers) == (42, "keep")
    assert config.cross_validation.folds * config.cross_validation.repeats == 15


def test_the_quick_one_is_valid_and_quicker():
    quick, default = (read(ROOT / path) for path in ("tests/quick.yaml", "configs/train.yaml"))
    assert quick.estimator.kind == default.estimator.kind
    assert quick.cross_validation.folds < default.cross_validation.folds


def test_the_seed_reaches_the_estimator():
    config = read(ROOT / "configs" / "train.yaml")
    assert config.estimator.estimator(7).get_params() != config.estimator.estimator(8).get_params()


def test_unknown_keys_are_refused(refusal):
    assert "sead" in refusal(DEFAULT + "sead: 1\n")
    assert "estimator.depth" in refusal(DEFAULT.replace("  kind:", "  depth: 3\n  kind:"))


@pytest.mark.parametrize("key", ["seed", "overclaimers", "estimator", "cross_validation", "simulated_respondents"])
def test_missing_keys_are_refused(refusal, key):
    assert key in refusal(DEFAULT.replace(f"\n{key}:", f"\nx_{key}:"))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("seed: 42", "seed: -1"),
        ("seed: 42", "seed: many"),
        ("seed: 42", "seed: 1.5"),
        ("seed: 42", "seed:"),
        ("overclaimers: keep", "overclaimers: some"),
        ("kind: network", "kind: oracle"),
        ("folds: 5", "folds: 1"),
        ("repeats: 3", "repeats: 0"),
        ("repeats: 3", "repeats: [3]"),
        ("penalty: ", "penalty: -"),
        ("penalty: ", "penalty: .nan #"),
        ("penalty: ", "penalty: .inf #"),
        ("simulated_respondents: ", "simulated_respondents: -"),
    ],
)
def test_wrong_values_are_refused(refusal, right, wrong):
    assert right in DEFAULT
    assert right.split(":")[0] in refusal(DEFAULT.replace(right, wrong))


@pytest.mark.parametrize(
    "content",
    ["", "seed", "- seed: 42", "seed: [", "\tseed: 42", DEFAULT.encode("utf-16"), "!!python/object/apply:os.getcwd []"],
    ids=["empty", "a word", "a list", "unclosed", "a tab", "UTF-16", "code"],
)
def test_what_is_no_mapping_is_refused(refusal, content):
    refusal(content)


def test_missing_files_are_refused(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match=str(path)):
            read(path)
