"""The configuration: the files that ship are valid, and anything malformed is refused with its place."""

import re
from pathlib import Path

import pytest

from drugpred.codebook import INPUTS
from drugpred.errors import ConfigurationError
from drugpred.training.configuration import read
from drugpred.training.per_drug import PerDrug

ROOT = Path(__file__).parents[2]
DEFAULT = (ROOT / "configs" / "train.yaml").read_text(encoding="utf-8")
LOGISTIC = re.sub(
    r"estimator:\n(  .*\n)+",
    "estimator:\n  kind: logistic\n  penalty: 5\n  sampler: none\n  leave_out: []\n",
    DEFAULT,
)


@pytest.fixture
def written(tmp_path):
    """Read a configuration of some content."""

    def write(content):
        path = tmp_path / "train.yaml"
        path.write_text(content, encoding="utf-8")
        return read(path)

    return write


@pytest.fixture
def refusal(tmp_path):
    """Return a function that reads a file with some text or bytes and returns the error."""

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
    assert config.estimator.make_estimator(7).get_params() != config.estimator.make_estimator(8).get_params()


def test_logistic_regression_is_a_choice(written):
    config = written(LOGISTIC)
    assert config.estimator.kind == "logistic"
    estimator = config.estimator.make_estimator(7)
    assert isinstance(estimator, PerDrug)
    assert (estimator.classifier.C, estimator.random_state) == (0.2, 7)
    assert (estimator.sampler, estimator.recalibrate) == ("none", False)


@pytest.mark.parametrize("sampler", ["smote", "smotenc", "undersampling"])
def test_resampled_models_are_recalibrated(written, sampler):
    estimator = written(LOGISTIC.replace("sampler: none", f"sampler: {sampler}")).estimator.make_estimator(7)
    assert (estimator.sampler, estimator.recalibrate) == (sampler, True)


@pytest.mark.parametrize("content", [DEFAULT, LOGISTIC], ids=["network", "logistic"])
def test_inputs_may_be_left_out(written, content):
    assert "leave_out: []" in content
    assert tuple(written(content).estimator.make_estimator(7).leave_out) == ()
    assert tuple(written(content.replace("  leave_out: []\n", "")).estimator.make_estimator(7).leave_out) == ()
    config = written(content.replace("leave_out: []", "leave_out: [gender, ethnicity]"))
    assert tuple(config.estimator.make_estimator(7).leave_out) == ("gender", "ethnicity")
    assert config.model_dump(mode="json")["estimator"]["leave_out"] == ["gender", "ethnicity"]


@pytest.mark.parametrize("names", ["[sex]", "[age, Gender]", "gender", str(list(INPUTS))])
def test_only_inputs_may_be_left_out_and_not_all(refusal, names):
    for content in (DEFAULT, LOGISTIC):
        assert "leave_out" in refusal(content.replace("leave_out: []", f"leave_out: {names}"))


@pytest.mark.parametrize("sampler", ["rose", "", "[smote]"])
def test_other_samplers_are_refused(refusal, sampler):
    assert "estimator.logistic.sampler" in refusal(LOGISTIC.replace("sampler: none", f"sampler: {sampler}"))


def test_unknown_keys_are_refused(refusal):
    assert "sead" in refusal(DEFAULT + "sead: 1\n")
    assert "estimator.network.depth" in refusal(DEFAULT.replace("  kind:", "  depth: 3\n  kind:"))
    assert "estimator.logistic.networks" in refusal(LOGISTIC.replace("  kind:", "  networks: 3\n  kind:"))


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
def test_files_that_are_no_mapping_are_refused(refusal, content):
    refusal(content)


def test_missing_files_are_refused(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match=str(path)):
            read(path)
