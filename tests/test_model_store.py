"""The model store: what goes in comes out, or is refused."""

import io
import json
import os
import pickletools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import bentoml
import numpy as np
import pytest
import skops.io
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from simple_di.providers import SingletonFactory
from sklearn.neighbors import KNeighborsClassifier

from drugpred import model_store
from drugpred.errors import StoredModelError
from tests.harness.store import using

REPORT = {"index.html": b"<p>report</p>", "roc.png": b"png"}


@pytest.fixture
def empty_store(tmp_path):
    """A model store of the test's own, in the place of the user's, which may hold models too."""
    with using(tmp_path) as store:
        yield store


@pytest.fixture
def network(stored_model):
    return (stored_model.path / "network.npz").read_bytes()


@pytest.fixture
def others(stored_model):
    """The background and the uncertainty."""
    return [(stored_model.path / name).read_bytes() for name in ("background.npy", "uncertainty.npz")]


@pytest.fixture
def stored(stored_model, network, others, empty_store):
    """A small model in the test's own store."""
    return bentoml.models.get(model_store.write(b"pipeline", network, *others, stored_model.card, REPORT))


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_written_model_is_read(stored_model, network, others, empty_store, real):
    tag = model_store.write(b"pipeline", network, *others, stored_model.card, REPORT)
    again = model_store.load()
    assert tag.startswith("drug_consumption:")
    assert again.tag == tag
    assert again.card == stored_model.card
    assert np.array_equal(again.predictor.predict_proba(real.X), stored_model.predictor.predict_proba(real.X))
    assert np.array_equal(again.explainer.explain(real.X[0])[1], stored_model.explainer.explain(real.X[0])[1])
    assert {
        name: content for name, content in files_of(again.path).items() if name not in {"model.yaml", "SHA256SUMS"}
    } == {
        "pipeline.skops": b"pipeline",
        "network.npz": network,
        "background.npy": others[0],
        "uncertainty.npz": others[1],
        "card.json": stored_model.card.model_dump_json(indent=1).encode(),
        "report/index.html": REPORT["index.html"],
        "report/roc.png": REPORT["roc.png"],
    }


def test_the_newest_is_found_and_the_older_stays(stored_model, network, others, empty_store):
    first, second = (model_store.write(b"pipeline", network, *others, stored_model.card, {}) for _ in range(2))
    assert first != second
    assert str(model_store.resolve(model_store.NAME).tag) == second
    assert model_store.load(first).tag == first


def test_the_store_distinguishes_versions(stored, stored_model):
    assert stored.info.labels == {"data_source": "uci", "estimator": stored_model.card.estimator}
    assert stored.info.metadata["overall"] == stored_model.card.overall
    assert stored.info.metadata["overall"]["cannabis_decade_auc"] > 0.8


@pytest.fixture
def reading(store, tmp_path, monkeypatch):
    """Return a function that finds and reads a copy of the trained model, and the copy's folder."""
    shutil.copytree(store / "models", tmp_path / "models")
    copy = ModelStore(tmp_path / "models")
    BentoMLContainer.model_store.set(copy)
    yield lambda: model_store.load(), Path(copy.get(model_store.NAME).path)
    BentoMLContainer.model_store.reset()


def test_any_altered_byte_is_noticed(reading):
    read, folder = reading
    rng = np.random.default_rng(0)
    names = set(files_of(folder))
    assert names > {"pipeline.skops", "network.npz", "card.json", "report/index.html", "model.yaml", "SHA256SUMS"}
    for name in names:
        path = folder / name
        content = path.read_bytes()
        altered = [content[:-1], content[: len(content) // 2], content + b"\n", b"\n" + content, b""]
        for place in {0, len(content) - 1, *rng.integers(0, len(content), 8).tolist()}:
            flipped = content[place] ^ (1 << int(rng.integers(8)))
            altered.append(content[:place] + bytes([flipped]) + content[place + 1 :])
        for wrong in altered:
            path.write_bytes(wrong)
            with pytest.raises(
                StoredModelError, match=rf"({name}.* was changed|, see {name}|in {name}|original {name}).*train\.py"
            ):
                read()
        path.write_bytes(content)
    read()


@pytest.mark.parametrize("name", ["model.yaml", "SHA256SUMS"])
def test_each_byte_of_the_checksums_counts(stored, name):
    path = Path(stored.path_of(name))
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place, byte in enumerate(content):
        path.write_bytes(content[:place] + bytes([byte ^ (1 << int(rng.integers(8)))]) + content[place + 1 :])
        with pytest.raises(StoredModelError, match=rf"{name} was changed|, see {name}|not in {name}"):
            model_store.read(stored)
        if place % 27 == 0:  # BentoML reads it slowly
            with pytest.raises(StoredModelError, match=r"train\.py"):
                model_store.load()
    path.write_bytes(content)
    model_store.load()


@pytest.mark.parametrize(
    "name",
    [
        "pipeline.skops",
        "network.npz",
        "background.npy",
        "uncertainty.npz",
        "card.json",
        "report/index.html",
        "model.yaml",
        "SHA256SUMS",
    ],
)
def test_a_missing_file_is_noticed(stored, name):
    Path(stored.path_of(name)).unlink()
    with pytest.raises(StoredModelError, match=rf"{name} is missing.*train\.py"):
        model_store.read(stored)
    with pytest.raises(StoredModelError, match=r"train\.py"):
        model_store.load()


@pytest.mark.parametrize("name", ["more", ".hidden", "report/more.html", "more/network.npz", "custom_objects.pkl"])
def test_a_file_that_is_none_of_the_models_is_noticed(stored, name):
    path = Path(stored.path_of(name))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(StoredModelError, match=rf"{re.escape(name)} is not in SHA256SUMS.*train\.py"):
        model_store.read(stored)


@pytest.mark.parametrize("name", ["network.npz", "model.yaml", "SHA256SUMS", "report"])
def test_a_link_in_the_place_of_a_file_is_refused(stored, tmp_path, name):
    path = Path(stored.path_of(name))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoredModelError, match=rf"{name} is not a regular file.*train\.py"):
        model_store.read(stored)


def test_a_special_file_is_refused_and_not_read(stored):
    os.mkfifo(stored.path_of("report/pipe"))
    with pytest.raises(StoredModelError, match=r"report/pipe is not a regular file"):
        model_store.read(stored)


@pytest.mark.parametrize("swapped", ["network.npz", "card.json", "model.yaml", "SHA256SUMS", ""])
def test_files_of_another_version_are_noticed(stored_model, network, others, empty_store, swapped):
    """A file, or with the empty name all of them; that of the network differs, as does the card."""
    other = stored_model.card.model_copy(update={"seed": stored_model.card.seed + 1})
    cut = io.BytesIO()
    with np.load(io.BytesIO(network)) as arrays:
        np.savez(cut, **arrays)
    one, two = (
        bentoml.models.get(model_store.write(b"pipeline", content, *others, card, REPORT))
        for content, card in ((network, stored_model.card), (cut.getvalue(), other))
    )
    if swapped:
        shutil.copyfile(one.path_of(swapped), two.path_of(swapped))
    else:
        shutil.copytree(one.path, two.path, dirs_exist_ok=True)
    with pytest.raises(StoredModelError, match=rf"^{two.tag}: .*{swapped or 'model.yaml belongs to ' + str(one.tag)}"):
        model_store.read(model_store.resolve(str(two.tag)))
    assert model_store.read(model_store.resolve(str(one.tag))).tag == str(one.tag)


def test_an_unreadable_file_is_reported(stored, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root reads everything
    with pytest.raises(StoredModelError, match=r"expected to be able to read .*Permission denied"):
        model_store.read(stored)


def test_an_exported_and_imported_model_is_unchanged(stored_model, stored, tmp_path):
    exported = bentoml.models.export_model(stored.tag, str(tmp_path / "model.bentomodel"))
    (tmp_path / "other").mkdir()
    other = ModelStore(tmp_path / "other")
    imported = bentoml.models.import_model(exported, _model_store=other)
    assert model_store.read(other.get(imported.tag)).card == stored_model.card
    assert files_of(Path(other.get(imported.tag).path)) == files_of(Path(stored.path))


def test_the_checksums_can_be_checked_by_hand(stored):
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=stored.path, capture_output=True)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(files_of(Path(stored.path))) - 1


def test_a_model_that_is_not_ours_is_refused(empty_store):
    with bentoml.models.create(model_store.NAME) as model:
        Path(model.path_of("network.npz")).write_bytes(b"")
        Path(model.path_of("card.json")).write_bytes(b"{}")
    with pytest.raises(StoredModelError):
        model_store.read(model)


@pytest.mark.parametrize("change", ["drugs", "inputs", "windows"])
def test_models_of_other_drugs_inputs_or_windows_are_refused(stored_model, network, others, empty_store, change):
    value = getattr(stored_model.card, change)
    fewer = dict(list(value.items())[1:]) if change == "drugs" else value[::-1]
    tag = model_store.write(b"pipeline", network, *others, stored_model.card.model_copy(update={change: fewer}), {})
    with pytest.raises(StoredModelError, match="other inputs, drugs or windows"):
        model_store.load(tag)


def test_a_card_of_another_version_is_refused(stored_model, network, others, empty_store, monkeypatch):
    class Other(model_store.Card):
        more: int = 1

    tag = model_store.write(b"pipeline", network, *others, Other(**dict(stored_model.card)), {})
    with pytest.raises(StoredModelError, match=r"of another version.*train\.py"):
        model_store.load(tag)


@pytest.mark.parametrize("damage", ["not npz", "shapes", "nan", "pickle"])
def test_networks_that_cannot_be_served_are_refused(stored_model, network, others, empty_store, damage):
    with np.load(io.BytesIO(network)) as stored:
        arrays = dict(stored)
    name = next(iter(arrays))
    if damage == "shapes":
        arrays[name] = arrays[name][:-1]
    if damage == "nan":
        arrays[name] = np.full(arrays[name].shape, np.nan)
    if damage == "pickle":
        arrays[name] = arrays[name].astype(object)
    file = io.BytesIO()
    np.savez(file, **arrays)
    damaged = b"not npz" if damage == "not npz" else file.getvalue()
    tag = model_store.write(b"pipeline", damaged, *others, stored_model.card, {})
    with pytest.raises(StoredModelError):
        model_store.load(tag)


@pytest.mark.parametrize("damaged", [b"not npz", b""])
def test_uncertainties_that_cannot_be_read_are_refused(stored_model, network, others, empty_store, damaged):
    tag = model_store.write(b"pipeline", network, others[0], damaged, stored_model.card, {})
    with pytest.raises(StoredModelError, match=r"uncertainty\.npz is not a readable uncertainty"):
        model_store.load(tag)


def test_a_model_without_intervals_is_refused(stored_model, network, others, empty_store):
    card = stored_model.card.model_copy(update={"uncertainty": None})
    tag = model_store.write(b"pipeline", network, *others, card, {})
    with pytest.raises(StoredModelError, match="no intervals, as it is of another version; train again"):
        model_store.load(tag)


@pytest.mark.parametrize("damaged", [b"not npy", b""])
def test_backgrounds_that_cannot_be_compared_with_are_refused(stored_model, network, others, empty_store, damaged):
    tag = model_store.write(b"pipeline", network, damaged, others[1], stored_model.card, {})
    with pytest.raises(StoredModelError, match=r"background\.npy is not a readable background"):
        model_store.load(tag)


@pytest.mark.parametrize("tag", ["drug_consumption", "drug_consumption:absent", "Not a tag!", ""])
def test_a_missing_model_is_reported_clearly(empty_store, tag):
    with pytest.raises(StoredModelError, match=r"no model .*run `python train\.py` first"):
        model_store.resolve(tag)


def test_a_missing_version_is_reported_with_the_newest_ones(stored_model, network, others, empty_store):
    tags = [model_store.write(b"pipeline", network, *others, stored_model.card, {}) for _ in range(12)]
    (Path(empty_store.get(tags[3]).path) / "model.yaml").write_bytes(b"]")
    newest = ", ".join(tag for tag in reversed(tags[2:]) if tag != tags[3])
    for tag in ("drug_consumption:nope", "nope", "Not a tag!"):
        with pytest.raises(StoredModelError) as caught:
            model_store.resolve(tag)
        expected = f"no model {tag} in the BentoML model store; it has {newest}, {tags[1]} and 1 more"
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("home", "expected"),
    [("file", "file is not a directory"), ("file/home", "file/home: Not a directory"), ("/proc/a", "/proc/a: No such")],
)
def test_an_impossible_home_is_reported_with_the_reason(tmp_path, monkeypatch, home, expected):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / home))
    # As BentoML does in a new process, in which nobody has asked for it.
    monkeypatch.setattr(BentoMLContainer, "bentoml_home", SingletonFactory(BentoMLContainer.bentoml_home._func))
    for call in (model_store.home, lambda: model_store.resolve(model_store.NAME)):
        with pytest.raises(StoredModelError, match=f"^BENTOML_HOME: .*{expected}"):
            call()


def test_an_error_of_bentoml_is_reported_with_its_reason(stored_model, network, others, empty_store):
    folder = Path(empty_store.get(model_store.write(b"pipeline", network, *others, stored_model.card, {})).path)
    for end in "ab":
        shutil.copytree(folder, folder.with_name(f"twice{end}"))
    with pytest.raises(StoredModelError, match=r"\(Multiple drug_consumption versions found: twice[ab], twice[ab]\)"):
        model_store.resolve("drug_consumption:twice")


def test_the_store_takes_all_or_nothing(stored_model, network, others, empty_store, tmp_path):
    def tree():
        return sorted(path.relative_to(tmp_path) for path in (tmp_path / "models").rglob("*"))

    before = tree()
    # A file and a folder of one name cannot both be written, and the second fails after all else was.
    with pytest.raises(OSError, match="exists"):
        model_store.write(b"pipeline", network, *others, stored_model.card, {"a": b"", "a/b": b""})
    assert tree() == before
    assert bentoml.models.list() == []
    with pytest.raises(StoredModelError):
        model_store.resolve(model_store.NAME)


# A file that is no pickle may hold any bytes, also before a newline that pickletools takes for the end of a text.
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_no_stored_file_runs_code_when_read(stored_model):
    stored = files_of(stored_model.path)
    with np.load(io.BytesIO(stored["network.npz"]), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype == np.int16 for name in set(arrays) - {"step"})
    assert all(name.startswith("drugpred.") for name in skops.io.get_untrusted_types(data=stored["pipeline.skops"]))
    for content in stored.values():
        with pytest.raises(ValueError, match=r".*"):
            list(pickletools.genops(content))


def test_no_stored_file_holds_a_respondent(stored_model, records_in):
    found = {name: records_in(content) for name, content in files_of(stored_model.path).items()}
    assert len(found) >= 6
    assert not any(found.values()), found


def test_the_search_for_respondents_finds_them(real, records_in):
    """What the test above relies on."""

    def npz(array):
        file = io.BytesIO()
        np.savez_compressed(file, array=array)
        return file.getvalue()

    some = real.X[100:180]
    fitted = KNeighborsClassifier().fit(some, real.last_use[100:180, 5])
    rows = [
        npz(np.zeros((1885, 2), np.float32)),
        npz(np.zeros((3, 1508))),
        npz(some),
        npz(some.astype(np.float32)),
        npz(np.asfortranarray(some)),
        npz(np.ascontiguousarray(some.T)),
        skops.io.dumps(fitted),
        json.dumps(real.X[7].tolist()).encode(),
        b"..." + real.X[7].tobytes(),
    ]
    for content in rows:
        assert records_in(content)
    assert records_in(npz(np.arange(700.0).reshape(100, 7))) == []


@pytest.mark.parametrize("given", [None, "False"])
def test_telemetry_is_disabled_by_a_call_and_not_by_the_import(given):
    code = "import os; from drugpred import model_store; get = lambda: os.environ.get('BENTOML_DO_NOT_TRACK')\n"
    code += "before = get(); model_store.disable_telemetry(); print(before, get())"
    environment = {name: value for name, value in os.environ.items() if name != "BENTOML_DO_NOT_TRACK"}
    environment |= {} if given is None else {"BENTOML_DO_NOT_TRACK": given}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{given} {given or True}\n"
