"""The model store: what goes in comes out, or is refused."""

import io
import json
import os
import pickletools
import re
import shutil
import subprocess
from pathlib import Path

import bentoml
import numpy as np
import pytest
import skops.io
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from simple_di.providers import SingletonFactory
from sklearn.neighbors import KNeighborsClassifier

from drugpred import bundle as bundles
from drugpred.errors import BundleError

REPORT = {"index.html": b"<p>report</p>", "roc.png": b"png"}


@pytest.fixture
def empty_store(tmp_path):
    """A model store of the test's own, in the place of the user's, which may hold models too."""
    (tmp_path / "models").mkdir()
    store = ModelStore(tmp_path / "models")
    BentoMLContainer.bentoml_home.set(str(tmp_path))
    BentoMLContainer.model_store.set(store)
    yield store
    BentoMLContainer.model_store.reset()
    BentoMLContainer.bentoml_home.reset()


@pytest.fixture
def network(bundle):
    return (bundle.path / "network.npz").read_bytes()


@pytest.fixture
def background(bundle):
    return (bundle.path / "background.npy").read_bytes()


@pytest.fixture
def stored(bundle, network, background, empty_store):
    """A small model in the test's own store."""
    return bentoml.models.get(bundles.write(b"pipeline", network, background, bundle.card, REPORT))


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_written_is_read(bundle, network, background, empty_store, real):
    tag = bundles.write(b"pipeline", network, background, bundle.card, REPORT)
    again = bundles.read(bundles.find(bundles.NAME))
    assert tag.startswith("drug_consumption:")
    assert again.tag == tag
    assert again.card == bundle.card
    assert np.array_equal(again.predictor.probabilities(real.X), bundle.predictor.probabilities(real.X))
    assert np.array_equal(again.explainer.explain(real.X[0])[1], bundle.explainer.explain(real.X[0])[1])
    assert {
        name: content for name, content in files_of(again.path).items() if name not in {"model.yaml", "SHA256SUMS"}
    } == {
        "pipeline.skops": b"pipeline",
        "network.npz": network,
        "background.npy": background,
        "card.json": bundle.card.model_dump_json(indent=1).encode(),
        "report/index.html": REPORT["index.html"],
        "report/roc.png": REPORT["roc.png"],
    }


def test_the_newest_is_found_and_the_older_stays(bundle, network, background, empty_store):
    first, second = (bundles.write(b"pipeline", network, background, bundle.card, {}) for _ in range(2))
    assert first != second
    assert str(bundles.find(bundles.NAME).tag) == second
    assert bundles.read(bundles.find(first)).tag == first


def test_the_store_can_tell_versions_apart(stored, bundle):
    assert stored.info.labels == {"data_source": "uci", "estimator": bundle.card.estimator}
    assert stored.info.metadata["overall"] == bundle.card.overall
    assert stored.info.metadata["overall"]["cannabis_decade_auc"] > 0.8


@pytest.fixture
def reading(store, tmp_path, monkeypatch):
    """Return what finds and reads a copy of the trained model, and the copy's folder."""
    shutil.copytree(store / "models", tmp_path / "models")
    copy = ModelStore(tmp_path / "models")
    BentoMLContainer.model_store.set(copy)
    yield lambda: bundles.read(bundles.find(bundles.NAME)), Path(copy.get(bundles.NAME).path)
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
        for place in {0, len(content) - 1, *rng.integers(0, len(content), 15).tolist()}:
            flipped = content[place] ^ (1 << int(rng.integers(8)))
            altered.append(content[:place] + bytes([flipped]) + content[place + 1 :])
        for wrong in altered:
            path.write_bytes(wrong)
            with pytest.raises(BundleError, match=rf"({name}.* as it was written|, by {name}|in {name}).*train\.py"):
                read()
        path.write_bytes(content)
    read()


@pytest.mark.parametrize("name", ["model.yaml", "SHA256SUMS"])
def test_each_byte_of_what_tells_of_the_others_counts(stored, name):
    path = Path(stored.path_of(name))
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place, byte in enumerate(content):
        path.write_bytes(content[:place] + bytes([byte ^ (1 << int(rng.integers(8)))]) + content[place + 1 :])
        with pytest.raises(BundleError, match=rf"{name} is not as it was written|, by {name}|not in {name}"):
            bundles.read(stored)
        if place % 9 == 0:  # BentoML reads it slowly
            with pytest.raises(BundleError, match=r"train\.py"):
                bundles.read(bundles.find(bundles.NAME))
    path.write_bytes(content)
    bundles.read(bundles.find(bundles.NAME))


@pytest.mark.parametrize(
    "name",
    ["pipeline.skops", "network.npz", "background.npy", "card.json", "report/index.html", "model.yaml", "SHA256SUMS"],
)
def test_a_missing_file_is_noticed(stored, name):
    Path(stored.path_of(name)).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing.*train\.py"):
        bundles.read(stored)
    with pytest.raises(BundleError, match=r"train\.py"):
        bundles.read(bundles.find(bundles.NAME))


@pytest.mark.parametrize("name", ["more", ".hidden", "report/more.html", "more/network.npz", "custom_objects.pkl"])
def test_a_file_that_is_none_of_the_models_is_noticed(stored, name):
    path = Path(stored.path_of(name))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(BundleError, match=rf"{re.escape(name)} is not in SHA256SUMS.*train\.py"):
        bundles.read(stored)


@pytest.mark.parametrize("name", ["network.npz", "model.yaml", "SHA256SUMS", "report"])
def test_a_link_in_the_place_of_a_file_is_refused(stored, tmp_path, name):
    path = Path(stored.path_of(name))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=rf"{name} is not a regular file.*train\.py"):
        bundles.read(stored)


def test_what_is_neither_a_file_nor_a_folder_is_refused_and_not_read(stored):
    os.mkfifo(stored.path_of("report/pipe"))
    with pytest.raises(BundleError, match=r"report/pipe is not a regular file"):
        bundles.read(stored)


@pytest.mark.parametrize("swapped", ["network.npz", "card.json", "model.yaml", "SHA256SUMS", ""])
def test_what_is_of_another_version_is_noticed(bundle, network, background, empty_store, swapped):
    """A file, or with the empty name all of them; that of the network differs, as does the card."""
    other = bundle.card.model_copy(update={"seed": bundle.card.seed + 1})
    cut = io.BytesIO()
    with np.load(io.BytesIO(network)) as arrays:
        np.savez(cut, **arrays)
    one, two = (
        bentoml.models.get(bundles.write(b"pipeline", content, background, card, REPORT))
        for content, card in ((network, bundle.card), (cut.getvalue(), other))
    )
    if swapped:
        shutil.copyfile(one.path_of(swapped), two.path_of(swapped))
    else:
        shutil.copytree(one.path, two.path, dirs_exist_ok=True)
    with pytest.raises(BundleError, match=rf"^{two.tag}: .*{swapped or 'model.yaml is that of ' + str(one.tag)}"):
        bundles.read(bundles.find(str(two.tag)))
    assert bundles.read(bundles.find(str(one.tag))).tag == str(one.tag)


def test_a_file_that_may_not_be_read_is_told(stored, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root reads everything
    with pytest.raises(BundleError, match=r"expected to be able to read all of .*Permission denied"):
        bundles.read(stored)


def test_what_was_exported_and_imported_is_as_it_was_written(bundle, stored, tmp_path):
    exported = bentoml.models.export_model(stored.tag, str(tmp_path / "model.bentomodel"))
    (tmp_path / "other").mkdir()
    other = ModelStore(tmp_path / "other")
    imported = bentoml.models.import_model(exported, _model_store=other)
    assert bundles.read(other.get(imported.tag)).card == bundle.card
    assert files_of(Path(other.get(imported.tag).path)) == files_of(Path(stored.path))


def test_the_checksums_can_be_checked_by_hand(stored):
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=stored.path, capture_output=True)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(files_of(Path(stored.path))) - 1


def test_a_model_that_is_not_ours_is_refused(empty_store):
    with bentoml.models.create(bundles.NAME) as model:
        Path(model.path_of("network.npz")).write_bytes(b"")
        Path(model.path_of("card.json")).write_bytes(b"{}")
    with pytest.raises(BundleError):
        bundles.read(model)


@pytest.mark.parametrize("change", ["drugs", "inputs", "windows"])
def test_models_of_other_drugs_inputs_or_windows_are_refused(bundle, network, background, empty_store, change):
    value = getattr(bundle.card, change)
    fewer = dict(list(value.items())[1:]) if change == "drugs" else value[::-1]
    tag = bundles.write(b"pipeline", network, background, bundle.card.model_copy(update={change: fewer}), {})
    with pytest.raises(BundleError, match="other inputs, drugs or windows"):
        bundles.read(bundles.find(tag))


def test_a_card_of_another_version_is_refused(bundle, network, background, empty_store, monkeypatch):
    class Other(bundles.Card):
        more: int = 1

    tag = bundles.write(b"pipeline", network, background, Other(**dict(bundle.card)), {})
    with pytest.raises(BundleError, match=r"not of this version.*train\.py"):
        bundles.read(bundles.find(tag))


@pytest.mark.parametrize("damage", ["not npz", "shapes", "nan", "pickle"])
def test_networks_that_cannot_be_served_are_refused(bundle, network, background, empty_store, damage):
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
    tag = bundles.write(b"pipeline", damaged, background, bundle.card, {})
    with pytest.raises(BundleError):
        bundles.read(bundles.find(tag))


@pytest.mark.parametrize("damaged", [b"not npy", b""])
def test_backgrounds_that_cannot_be_compared_with_are_refused(bundle, network, empty_store, damaged):
    tag = bundles.write(b"pipeline", network, damaged, bundle.card, {})
    with pytest.raises(BundleError, match=r"background\.npy is not a readable background"):
        bundles.read(bundles.find(tag))


@pytest.mark.parametrize("tag", ["drug_consumption", "drug_consumption:absent", "Not a tag!", ""])
def test_a_model_that_is_not_there_is_told_clearly(empty_store, tag):
    with pytest.raises(BundleError, match=r"no model .*run `python train\.py` first"):
        bundles.find(tag)


def test_a_version_that_is_not_there_is_told_with_the_newest_that_are(bundle, network, background, empty_store):
    tags = [bundles.write(b"pipeline", network, background, bundle.card, {}) for _ in range(12)]
    (Path(empty_store.get(tags[3]).path) / "model.yaml").write_bytes(b"]")
    newest = ", ".join(tag for tag in reversed(tags[2:]) if tag != tags[3])
    for tag in ("drug_consumption:nope", "nope", "Not a tag!"):
        with pytest.raises(BundleError) as caught:
            bundles.find(tag)
        expected = f"no model {tag} in the BentoML model store, which has {newest}, {tags[1]} and 1 more"
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("home", "expected"),
    [("file", "file is not a directory"), ("file/home", "file/home: Not a directory"), ("/proc/a", "/proc/a: No such")],
)
def test_a_home_that_cannot_be_is_told_with_the_reason(tmp_path, monkeypatch, home, expected):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / home))
    # As BentoML does in a new process, in which nobody has asked for it.
    monkeypatch.setattr(BentoMLContainer, "bentoml_home", SingletonFactory(BentoMLContainer.bentoml_home._func))
    for call in (bundles.home, lambda: bundles.find(bundles.NAME)):
        with pytest.raises(BundleError, match=f"^BENTOML_HOME: .*{expected}"):
            call()


def test_what_bentoml_refuses_is_told_with_its_reason(bundle, network, background, empty_store):
    folder = Path(empty_store.get(bundles.write(b"pipeline", network, background, bundle.card, {})).path)
    for end in "ab":
        shutil.copytree(folder, folder.with_name(f"twice{end}"))
    with pytest.raises(BundleError, match=r"\(Multiple drug_consumption versions found: twice[ab], twice[ab]\)"):
        bundles.find("drug_consumption:twice")


def test_the_store_takes_all_or_nothing(bundle, network, background, empty_store, tmp_path):
    def tree():
        return sorted(path.relative_to(tmp_path) for path in (tmp_path / "models").rglob("*"))

    before = tree()
    # A file and a folder of one name cannot both be written, and the second fails after all else was.
    with pytest.raises(OSError, match="exists"):
        bundles.write(b"pipeline", network, background, bundle.card, {"a": b"", "a/b": b""})
    assert tree() == before
    assert bentoml.models.list() == []
    with pytest.raises(BundleError):
        bundles.find(bundles.NAME)


def test_no_stored_file_runs_code_when_read(bundle):
    stored = files_of(bundle.path)
    with np.load(io.BytesIO(stored["network.npz"]), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype == np.int16 for name in set(arrays) - {"step"})
    assert all(name.startswith("drugpred.") for name in skops.io.get_untrusted_types(data=stored["pipeline.skops"]))
    for content in stored.values():
        with pytest.raises(ValueError, match=r".*"):
            list(pickletools.genops(content))


def test_no_stored_file_holds_a_respondent(bundle, records_in):
    found = {name: records_in(content) for name, content in files_of(bundle.path).items()}
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
