"""The notebook runs from a clean kernel, shows the stored outputs, and holds no respondent."""

import pytest

from tests.harness import ROOT

pytestmark = pytest.mark.filterwarnings("default")  # Jupyter's packages emit warnings about each other


def outputs(notebook, tag):
    """Return the outputs of the cells with a tag."""
    return [
        [output.get("text") or output["data"] for output in cell.outputs]
        for cell in notebook.cells
        if tag in cell.metadata.get("tags", [])
    ]


@pytest.fixture(scope="module")
def stored():
    import nbformat  # takes 3 s

    from drugpred.notebooks.__main__ import NOTEBOOK

    return nbformat.read(NOTEBOOK, 4)


@pytest.fixture(scope="module")
def run(stored, store, uci_path, tmp_path_factory):
    """The notebook as it runs now."""
    import nbformat

    from drugpred.notebooks.__main__ import execute

    notebook = nbformat.from_dict(stored)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"BENTOML_HOME": store, "DRUGPRED_DATA": uci_path, "PYTHONPATH": ROOT}.items():
            patch.setenv(name, str(value))
        folder = tmp_path_factory.mktemp("notebook")
        patch.chdir(folder)
        execute(notebook)
    assert list(folder.iterdir()) == []
    return notebook


@pytest.mark.slow
def test_the_data_are_shown_as_they_are_stored(run, stored):
    shown = outputs(stored, "data")
    assert len(shown) == 8
    assert all(shown)
    assert outputs(run, "data") == shown


def test_the_text_of_a_cell_is_one_output_however_the_kernel_sends_it():
    from nbformat import v4

    from drugpred.notebooks.__main__ import execute

    printing = "for text in ('a', 'b', '\\n'):\n    print(text, end='', flush=True)"
    notebook = v4.new_notebook(cells=[v4.new_code_cell(printing, metadata={"tags": ["data"]})])
    execute(notebook)
    assert outputs(notebook, "data") == [["ab\n"]]


@pytest.mark.slow
def test_every_cell_ran_and_printed_no_error(stored):
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert {output.output_type for cell in code for output in cell.outputs} == {"stream", "execute_result"}
    assert {output.name for cell in code for output in cell.outputs if output.output_type == "stream"} == {"stdout"}


@pytest.mark.slow
def test_it_is_small_and_holds_no_respondent(records_in):
    from drugpred.notebooks.__main__ import NOTEBOOK

    content = NOTEBOOK.read_bytes()
    assert len(content) < 300_000
    assert records_in(content) == []
