"""The gate: which models may become the newest, and the messages about others."""

import math
import threading

import pytest
from filelock import Timeout

from drugpred import model_store
from drugpred.training import promotion
from drugpred.training.configuration import Configuration
from tests.harness.store import using

# Of 2 repeats of 2 folds, as in tests/quick.yaml.
NEWEST = (0.380, 0.400, 0.390, 0.386)


@pytest.fixture(autouse=True)
def home(tmp_path):
    """A BENTOML_HOME of the test's own, in the place of the user's."""
    with using(tmp_path):
        yield tmp_path


@pytest.fixture
def config(stored_model):
    return Configuration.model_validate(stored_model.card.configuration)


@pytest.fixture
def card(stored_model):
    """Return the model's card with other figures by fold, and with other data where a test says so."""

    def make(folds=NEWEST, configuration=None, **data):
        changes = {"folds": {promotion.METRIC: tuple(folds)}, "data": stored_model.card.data.model_copy(update=data)}
        if configuration:
            changes["configuration"] = stored_model.card.configuration | configuration
        return stored_model.card.model_copy(update=changes)

    return make


@pytest.fixture
def newest(stored_model, card):
    """Return a function that stores a model with such a card as the newest one."""

    def store(*args, **kwargs):
        arrays = [
            (stored_model.path / name).read_bytes() for name in ("network.npz", "background.npy", "uncertainty.npz")
        ]
        return model_store.write(b"", *arrays, card(*args, **kwargs), {})

    return store


def never(configuration):
    pytest.fail("nothing is to be cross-validated: the folds are the same")


class Evaluated:
    """What cross-validation of the newest model's configuration gives, and for which it was asked."""

    def __init__(self, folds):
        self.folds = folds

    def __call__(self, configuration):
        self.configuration = configuration
        return self

    def overall_folds(self):
        return {promotion.METRIC: self.folds}


def shifted(*by):
    return [figure + more for figure, more in zip(NEWEST, by, strict=True)]


def test_the_first_model_needs_no_gate(card, config):
    assert "the first" in promotion.require_no_regression(card(), config, never)


def test_an_equal_model_passes(card, config, newest):
    tag = newest()
    assert promotion.require_no_regression(card(), config, never) == (
        f"log-loss 0.3890, that of {tag} 0.3890 on the same folds: no worse"
    )


def test_a_better_model_passes(card, config, newest):
    newest()
    assert promotion.require_no_regression(card(shifted(-0.1, -0.1, -0.1, -0.1)), config, never).endswith("no worse")


def test_a_model_that_is_worse_in_every_fold_is_refused_with_the_figures(card, config, newest):
    tag = newest()
    with pytest.raises(promotion.PromotionError) as refused:
        promotion.require_no_regression(card(shifted(0.010, 0.012, 0.010, 0.012)), config, never)
    # A standard deviation of .0011547, 1/4 + 1 times its square, and 2.3534, the t quantile of 95% at 3 degrees.
    allowed = 2.3534 * math.sqrt(1.25) * 0.0011547
    assert str(refused.value) == (
        f"not stored: log-loss 0.4000, that of {tag} 0.3890 on the same folds: 0.0110 worse, more than the "
        f"{allowed:.4f} that chance explains (one-sided 95%); --force stores it all the same"
    )


def test_a_model_that_is_worse_within_the_error_passes(card, config, newest):
    newest()
    said = promotion.require_no_regression(card(shifted(0.030, -0.010, 0.030, -0.006)), config, never)
    assert "0.0110 worse, within the" in said


def test_differences_too_small_to_print_do_not_count(card, config, newest):
    newest()
    assert promotion.require_no_regression(card(shifted(1e-9, 1e-9, 1e-9, 1e-9)), config, never).endswith("no worse")


@pytest.mark.parametrize(
    "newest_is",
    [
        {"sha256": "0" * 64},
        {"overclaimers": "drop"},
        {"configuration": {"cross_validation": {"folds": 2, "repeats": 3}}},
    ],
    ids=["data", "overclaimers", "folds"],
)
def test_on_other_folds_the_newest_configuration_is_cross_validated_on_these(card, config, newest, newest_is):
    # The newest model was better than ours on its own folds, which does not count.
    newest((0.1, 0.1, 0.1, 0.1), **newest_is)
    evaluated = Evaluated(NEWEST)
    assert promotion.require_no_regression(card(), config, evaluated).endswith("no worse")
    assert evaluated.configuration.cross_validation == config.cross_validation
    assert evaluated.configuration.estimator == config.estimator
    with pytest.raises(promotion.PromotionError, match=r"0\.0500 worse"):
        promotion.require_no_regression(card(shifted(0.05, 0.05, 0.05, 0.05)), config, Evaluated(NEWEST))


def test_another_seed_makes_other_folds(stored_model, card, config, newest):
    newest()
    evaluated = Evaluated(NEWEST)
    ours = config.model_copy(update={"seed": 7})
    promotion.require_no_regression(card().model_copy(update={"seed": 7}), ours, evaluated)
    assert evaluated.configuration.seed == 7


def test_simulated_respondents_never_replace_others_unless_forced(card, config, newest):
    for source in ("uci", "file"):
        tag = newest(source=source)
        with pytest.raises(
            promotion.PromotionError, match=f"was trained on simulated respondents, {tag} was not; --force"
        ):
            promotion.require_no_regression(card(shifted(-0.1, -0.1, -0.1, -0.1), source="simulated"), config, never)


def test_simulated_respondents_bar_nothing(card, config, newest):
    tag = newest((0.1, 0.1, 0.1, 0.1), source="simulated")
    assert f"{tag} was trained on simulated respondents" in promotion.require_no_regression(card(), config, never)


def test_simulated_ones_are_compared_with_each_other(card, config, newest):
    newest(source="simulated")
    with pytest.raises(promotion.PromotionError, match="worse"):
        promotion.require_no_regression(card(shifted(0.1, 0.1, 0.1, 0.1), source="simulated"), config, never)


def test_a_model_without_a_readable_card_bars_nothing(card, config, newest, home):
    tag = newest((0.1, 0.1, 0.1, 0.1))
    file = home / "models" / tag.replace(":", "/") / "card.json"
    for spoil in (lambda: file.write_text("{}"), file.unlink):
        spoil()
        assert promotion.require_no_regression(card(), config, never).startswith(
            f"no model to compare with: the card of {tag} is missing"
        )


def test_a_model_that_cannot_be_served_is_compared_with_all_the_same(card, config, newest, home):
    tag = newest()
    (home / "models" / tag.replace(":", "/") / "network.npz").unlink()
    with pytest.raises(promotion.PromotionError, match="worse"):
        promotion.require_no_regression(card(shifted(0.1, 0.1, 0.1, 0.1)), config, never)


def test_a_model_that_cannot_be_compared_with_bars_the_way(card, config, newest):
    tag = newest(configuration={"estimator": {"kind": "oracle"}}, sha256="0" * 64)
    with pytest.raises(promotion.PromotionError, match=f"cannot be compared with {tag}; --force"):
        promotion.require_no_regression(card(), config, never)


def test_only_one_training_has_its_turn(home):
    with promotion.store_lock():
        other_had_it = threading.Event()
        other = threading.Thread(target=take_turn, args=(other_had_it,))
        other.start()
        with pytest.raises(Timeout):
            promotion.store_lock().acquire(timeout=0)
        assert not other_had_it.wait(0.2)  # nor does the other give up
    other.join(timeout=60)
    assert other_had_it.is_set()
    assert (home / "drug_consumption.lock").is_file()


def take_turn(had_it):
    with promotion.store_lock():
        had_it.set()
