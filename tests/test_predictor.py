"""The predictor on networks drawn at random; on the trained one it is held against the pipeline in tests/training."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred import codebook
from drugpred.errors import StoredModelError
from drugpred.predictor import LEVELS, QUANTIZATION_STEP, Predictor, design_matrix, to_npz

N_COLUMNS = len(LEVELS) + len(codebook.SCORES)
N_OUTPUTS = len(codebook.DRUGS) * len(codebook.WINDOWS)
SIZES = [len(category.labels) for category in codebook.CATEGORIES]
SEEDS = st.integers(0, 2**32 - 1)


def draw_arrays(seed, n_hidden=8, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = {
        "inputs": (N_COLUMNS, n_hidden),
        "bias": (n_hidden,),
        "outputs": (n_hidden, N_OUTPUTS),
        "output_bias": (N_OUTPUTS,),
        "direct": (N_COLUMNS, N_OUTPUTS),
    }
    return {
        name: np.rint(rng.normal(0, scale, shape) / QUANTIZATION_STEP) * QUANTIZATION_STEP
        for name, shape in shapes.items()
    }


def draw_rows(seed, n):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, size, n) for size in SIZES]
    scores = [rng.uniform(score.lowest, score.highest, n) for score in codebook.SCORES]
    return np.column_stack([*codes, *scores]).astype(np.float64)


@pytest.fixture
def predictor():
    return Predictor(**draw_arrays(0))


@pytest.fixture
def npz(tmp_path):
    """Write arrays as they are packed and return the file's path."""

    def write(**arrays):
        path = tmp_path / "network.npz"
        path.write_bytes(to_npz(arrays))
        return path

    return write


def test_design_has_an_indicator_for_every_level_and_then_the_scores():
    columns = design_matrix(draw_rows(1, 50))
    assert columns.shape == (50, 38)
    assert set(np.unique(columns[:, : sum(SIZES)])) == {0.0, 1.0}
    starts = np.cumsum([0, *SIZES])
    for i in range(len(SIZES)):
        block = columns[:, starts[i] : starts[i + 1]]
        assert (block.sum(axis=1) == 1).all()
        assert (block.argmax(axis=1) == draw_rows(1, 50)[:, i]).all()
    assert (columns[:, sum(SIZES) :] == draw_rows(1, 50)[:, len(SIZES) :]).all()


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_every_row_gets_every_drug_and_window(predictor, n):
    assert predictor.predict_proba(draw_rows(2, n)).shape == (n, 18, 6)


@given(seed=SEEDS, n_hidden=st.integers(1, 30), scale=st.floats(0, 3))
def test_windows_never_rise_and_probabilities_are_within_0_and_1(seed, n_hidden, scale):
    probabilities = Predictor(**draw_arrays(seed, n_hidden, scale)).predict_proba(draw_rows(seed, 20))
    assert (np.diff(probabilities, axis=2) <= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@given(seed=SEEDS, n=st.integers(1, 40))
def test_single_rows_and_all_at_once_agree(seed, n):
    predictor, rows = Predictor(**draw_arrays(seed)), draw_rows(seed, n)
    one_by_one = np.concatenate([predictor.predict_proba(row[np.newaxis]) for row in rows])
    np.testing.assert_allclose(one_by_one, predictor.predict_proba(rows), rtol=0, atol=1e-12)


def test_rows_are_never_modified(predictor):
    rows = draw_rows(3, 30)
    before = rows.copy()
    rows.setflags(write=False)
    predictor.predict_proba(rows)
    assert (rows == before).all()


def test_weights_are_copied(predictor):
    arrays = draw_arrays(0)
    before = {name: array.copy() for name, array in arrays.items()}
    copied = Predictor(**arrays)
    assert all((arrays[name] == before[name]).all() for name in arrays)
    for array in arrays.values():
        array[...] = 0
    rows = draw_rows(4, 5)
    assert (copied.predict_proba(rows) == predictor.predict_proba(rows)).all()


def test_an_answer_is_not_overwritten_by_the_next(predictor):
    first = predictor.predict_proba(draw_rows(5, 3))
    kept = first.copy()
    predictor.predict_proba(draw_rows(6, 3))
    assert (first == kept).all()


@pytest.mark.parametrize("name", draw_arrays(0))
@pytest.mark.parametrize(
    "spoil",
    [
        lambda array: array[:-1],
        lambda array: array[np.newaxis],
        lambda array: array * np.nan,
        lambda array: array + np.inf,
    ],
    ids=["one less", "a dimension more", "nan", "infinite"],
)
def test_arrays_that_do_not_fit_or_are_not_finite_are_refused(name, spoil):
    arrays = draw_arrays(0)
    with pytest.raises(StoredModelError, match="expected finite arrays of shapes"):
        Predictor(**arrays | {name: spoil(arrays[name])})


def test_a_saved_predictor_is_loaded(predictor, npz):
    rows = draw_rows(7, 10)
    assert (Predictor.load(npz(**draw_arrays(0))).predict_proba(rows) == predictor.predict_proba(rows)).all()


@pytest.mark.parametrize("weight", [np.nan, np.inf, 256.0, -1e9])
def test_weights_that_cannot_be_packed_are_refused(weight):
    arrays = draw_arrays(0)
    arrays["outputs"][3, 5] = weight
    with pytest.raises(StoredModelError, match=r"expected weights from -255\.99"):
        to_npz(arrays)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(StoredModelError, match=r"nowhere\.npz is not a readable network"):
        Predictor.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("kept", [0, 1, 4, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(npz, kept):
    path = npz(**draw_arrays(0))
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(path)


def test_a_file_with_altered_bytes_is_refused(npz):
    path = npz(**draw_arrays(0))
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(path)


@pytest.mark.parametrize("name", draw_arrays(0))
def test_a_file_with_an_array_less_is_refused(npz, name):
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(npz(**{other: array for other, array in draw_arrays(0).items() if other != name}))


def test_a_file_has_the_step_of_its_weights(npz):
    with np.load(npz(**draw_arrays(0))) as arrays:
        coarser = dict(arrays) | {"step": arrays["step"] * 2}
    path = npz(**draw_arrays(0))
    np.savez_compressed(path, **coarser)
    doubled = Predictor(**{name: 2 * array for name, array in draw_arrays(0).items()})
    assert (Predictor.load(path).predict_proba(draw_rows(7, 10)) == doubled.predict_proba(draw_rows(7, 10))).all()
    del coarser["step"]
    np.savez_compressed(path, **coarser)
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(path)


def test_a_file_with_an_array_more_is_refused(npz):
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(npz(**draw_arrays(0), more=np.zeros(1)))


class Trap:
    """Shows that it was unpickled."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


def test_a_pickle_within_is_refused_and_never_run(tmp_path):
    path = tmp_path / "network.npz"
    np.savez_compressed(path, **draw_arrays(0) | {"bias": np.array([Trap()] * 8)})
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(path)
    assert not Trap.sprung


def test_a_file_that_is_a_pickle_is_refused_and_never_run(tmp_path):
    path = tmp_path / "network.npz"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(path)
    assert not Trap.sprung


def test_another_zip_is_refused(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    path = tmp_path / "network.npz"
    path.write_bytes(content.getvalue())
    with pytest.raises(StoredModelError, match="not a readable network"):
        Predictor.load(path)
