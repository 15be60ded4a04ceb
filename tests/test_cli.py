"""The `drugpred` command."""

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from drugpred import __version__
from drugpred.cli import main
from drugpred.codebook import DRUGS
from drugpred.data.parsing import HEADINGS
from drugpred.data.respondents import read, simulate, write_csv
from drugpred.training import imbalance
from drugpred.training.baselines import BASELINES
from tests.harness import ROOT, imported


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_it_draws_as_many_respondents_as_asked_for(run, tmp_path):
    result = run("simulate", "--rows", 1234)
    assert result.exit_code == 0
    assert "1234 simulated respondents in simulated.csv" in result.output
    respondents = read(tmp_path / "simulated.csv")
    assert respondents.source == "simulated"
    assert respondents.frame.index.tolist() == [f"sim-{n}" for n in range(1, 1235)]
    assert (respondents.frame["semeron"] == 0).all()


def test_the_file_is_a_decoded_csv_and_nothing_else(run, tmp_path):
    run("simulate", "--rows", 50, "--output", "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    content = (tmp_path / "out.csv").read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")
    rows = list(csv.reader(content.decode().splitlines()))
    assert rows[0] == list(HEADINGS.values())
    assert {len(row) for row in rows} == {32}
    assert len(rows) == 51


def test_the_seed_decides_the_respondents(run, tmp_path):
    for name, seed in (("one", 7), ("same", 7), ("other", 8), ("default", None)):
        run("simulate", "--rows", 20, "--output", f"{name}.csv", *(() if seed is None else ("--seed", seed)))
    one, same, other, default = (
        (tmp_path / f"{name}.csv").read_bytes() for name in ("one", "same", "other", "default")
    )
    assert one == same
    assert len({one, other, default}) == 3


def test_a_longer_file_begins_with_the_shorter_and_chunks_leave_no_seam(run, tmp_path):
    run("simulate", "--rows", 20_002, "--output", "long.csv")
    run("simulate", "--rows", 3, "--output", "short.csv")
    long, short = ((tmp_path / f"{name}.csv").read_text(encoding="utf-8") for name in ("long", "short"))
    assert long.startswith(short)
    lines = long.splitlines()
    assert len(lines) == 20_003
    assert [line.split(",")[0] for line in lines[-3:]] == ["sim-20000", "sim-20001", "sim-20002"]
    assert lines[1].split(",", 1)[1] != lines[20_001].split(",", 1)[1]


def test_the_file_holds_the_cohort_that_training_draws(run, tmp_path):
    run("simulate", "--rows", 200, "--seed", 5, "--output", "out.csv")
    written, drawn = read(tmp_path / "out.csv"), simulate(200, 5)
    assert np.array_equal(written.X, drawn.X)
    assert written.frame[list(DRUGS)].equals(drawn.frame[list(DRUGS)])


@pytest.mark.parametrize(
    "arguments", [["--rows", 0], ["--rows", -1], ["--rows", "many"], [], ["--rows", 1, "--seed", -1]]
)
def test_an_invalid_draw_is_refused(run, tmp_path, arguments):
    result = run("simulate", *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", [".", "absent/out.csv", "file/out.csv"])
def test_an_unwritable_output_is_reported_in_words(run, tmp_path, output):
    (tmp_path / "file").write_bytes(b"")
    result = run("simulate", "--rows", 1, "--output", output)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Error: " in result.output
    assert output in result.output


LOGISTIC = """
seed: 42
overclaimers: keep
estimator: {kind: logistic, penalty: 5, sampler: none}
cross_validation: {folds: 2, repeats: 1}
simulated_respondents: 1000
"""


@pytest.fixture
def evaluate(run, tmp_path, uci_path):
    """Evaluate a model of a second."""
    (tmp_path / "config.yaml").write_text(LOGISTIC, encoding="utf-8")
    return lambda *arguments: run("evaluate", "--data", uci_path, "--config", "config.yaml", *arguments)


@dataclass
class Evaluated:
    """An evaluation that ended well: its folder and its output."""

    folder: Path
    output: str


@pytest.fixture(scope="module")
def evaluated(uci_path, tmp_path_factory):
    """The evaluation of a model against itself, named twice; do not change its files."""
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / "config.yaml").write_text(LOGISTIC, encoding="utf-8")
    arguments = ["--data", uci_path, "--config", folder / "config.yaml", "--output", folder / "evaluation"]
    arguments += ["--against", "logistic", "--against", "logistic"]
    result = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return Evaluated(folder / "evaluation", result.output)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_figures(folder, card):
    """Compare the written files with a card, to the last bit."""
    found = {(row["drug"], row["window"], row["figure"]): row for row in table(folder / "figures.csv")}
    for drug, windows in card.drugs.items():
        for window, figures in windows.items():
            expected = figures.model_dump(exclude={"threshold", "intervals", "reliable"})
            for name, value in expected.items():
                row = found.pop((drug, window, name))
                assert row["value"] == ("" if value is None else str(value))
                low, high = figures.intervals.get(name, ("", ""))
                assert (row["low"], row["high"]) == (str(low), str(high))
        assert (
            float(found.pop((drug, "all", "ranked_probability_score"))["value"]) == card.ranked_probability_scores[drug]
        )
    assert not found
    overall = json.loads((folder / "overall.json").read_text(encoding="utf-8"))
    assert {name: figure["value"] for name, figure in overall["overall"].items()} == card.overall
    assert {
        name: (figure["low"], figure["high"]) for name, figure in overall["overall"].items()
    } == card.overall_intervals
    assert {name: tuple(values) for name, values in overall["folds"].items()} == card.folds
    assert overall["reference_split"] == card.reference_split
    assert overall["configuration"] == card.configuration


@pytest.mark.slow
def test_evaluation_has_the_figures_of_the_stored_card(run, tmp_path, uci_path, stored_model):
    result = run("evaluate", "--data", uci_path, "--config", Path(__file__).parent / "quick.yaml", "--output", "out")
    assert result.exit_code == 0, result.output
    check_figures(tmp_path / "out", stored_model.card)


def test_evaluation_prints_and_writes_its_tables(evaluated):
    written = (evaluated.folder / "evaluation.md").read_text(encoding="utf-8")
    assert "1885 respondents" in written
    for text in ("headline figures", "cannabis decade auc", "95%", "volatile_substances", "153.5", "optimistic"):
        assert text in evaluated.output
        assert text in written
    assert "…" not in evaluated.output
    assert evaluated.output.endswith(f"tables in {evaluated.folder}\n")


def test_evaluation_leaves_nothing_of_a_respondent(evaluated, records_in):
    files = [path for path in evaluated.folder.iterdir() if path.is_file()]
    assert len(files) == 5
    assert [path.name for path in files if records_in(path.read_bytes())] == []


def test_finished_folds_are_found_again(evaluate, evaluated, tmp_path):
    folder = tmp_path / "evaluation"
    shutil.copytree(evaluated.folder / "folds", folder / "folds")
    before = {path: path.stat().st_mtime_ns for path in (folder / "folds").iterdir()}
    assert len(before) == 2
    assert evaluate().exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "folds").iterdir()} == before
    assert (folder / "figures.csv").read_bytes() == (evaluated.folder / "figures.csv").read_bytes()
    # Nothing was compared.
    assert {path.name for path in folder.iterdir()} == {"evaluation.md", "figures.csv", "folds", "overall.json"}


def test_a_comparison_is_printed_and_written(evaluated):
    rows = table(evaluated.folder / "comparison.csv")
    assert {row["model"] for row in rows} == {"logistic"}
    # The configured model is logistic regression itself.
    assert {(float(row["difference"]), row["verdict"]) for row in rows} == {(0.0, "within error")}
    assert rows[0]["figure"] == "cannabis_decade_auc"
    assert len(rows) == 10
    assert "against logistic" in evaluated.output
    assert "against logistic" in (evaluated.folder / "comparison.md").read_text(encoding="utf-8")
    assert not (evaluated.folder / "imbalance.csv").exists()


@pytest.mark.slow
def test_all_comparisons(evaluate, tmp_path, monkeypatch):
    quick = ("logistic regression", "logistic, class weights")
    monkeypatch.setattr(imbalance, "TREATMENTS", {name: imbalance.TREATMENTS[name] for name in quick})
    # As if nobody had used any but three drugs: nothing is fitted for the others.
    others = set(DRUGS) - {"cannabis", "heroin", "lsd"}
    with (tmp_path / "simulated.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(simulate(300, 42).frame.assign(**dict.fromkeys(others, 0)), file, header=True)
    result = evaluate("--data", "simulated.csv", "--against", "all", "--imbalance", "--output", "deep/out")
    assert result.exit_code == 0, result.output
    assert {row["model"] for row in table(tmp_path / "deep" / "out" / "comparison.csv")} == set(BASELINES)
    assert {row["treatment"] for row in table(tmp_path / "deep" / "out" / "imbalance.csv")} == set(quick)
    for one, other in pairwise(["headline", "published", "against logistic", "against reference", "imbalance, decade"]):
        assert result.output.index(one) < result.output.rindex(other)
    assert "…" not in result.output


def test_respondents_may_be_simulated(run, tmp_path):
    (tmp_path / "config.yaml").write_text(LOGISTIC, encoding="utf-8")
    run("simulate", "--rows", 300)
    result = run("evaluate", "--data", "simulated.csv", "--config", "config.yaml")
    assert result.exit_code == 0, result.output
    assert "source: simulated" in result.output
    overall = json.loads((tmp_path / "evaluation" / "overall.json").read_text(encoding="utf-8"))
    assert overall["reference_split"] is None


def test_malformed_input_is_reported_in_a_line(evaluate, run, tmp_path):
    malformed = tmp_path / "malformed.csv"
    malformed.write_text("1,2,secret", encoding="utf-8")
    for arguments, text in (
        (("--data", malformed), "line 1"),
        (("--data", "absent.csv"), "absent.csv"),
        (("--config", "absent.yaml"), "absent.yaml"),
    ):
        result = evaluate(*arguments)
        assert result.exit_code == 2
        assert result.output.startswith("Error: ")
        assert text in result.output
        assert "secret" not in result.output
        assert "Traceback" not in result.output
    assert not (tmp_path / "evaluation" / "figures.csv").exists()


@pytest.mark.parametrize("arguments", [["--against", "oracle"], ["--imbalance", "yes"], ["--output", "config.yaml"]])
def test_an_invalid_evaluation_is_refused(evaluate, arguments):
    result = evaluate(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.output


def test_an_unwritable_folder_is_reported_in_words(evaluate, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    result = evaluate("--output", "file/out")
    assert result.exit_code == 2
    assert result.output == "Error: cannot write file/out/folds: Not a directory\n"


def test_a_full_disk_is_reported_before_the_work(evaluate, tmp_path, room):
    with room(100_000):
        result = evaluate()
    assert result.exit_code == 2
    assert result.output == "Error: cannot write evaluation/folds: File too large\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("evaluate",), "finished folds are kept in evaluation/folds, and the same command continues from there"),
        (
            ("score", "in.csv", "out.csv"),
            "finished parts are kept, and the same command continues with the others",
        ),
        (("drift", "in.csv"), "no file was changed"),
    ],
)
def test_an_interrupted_command_reports_kept_files_and_how_to_continue(run, tmp_path, monkeypatch, command, expected):
    def interrupt(*_):
        raise KeyboardInterrupt

    (tmp_path / "in.csv").touch()
    for name in ("drugpred.training.configuration.read", "drugpred.model_store.resolve"):
        monkeypatch.setattr(name, interrupt)
    result = run(*command)
    assert result.exit_code == 130
    assert result.output == f"Error: interrupted: {expected}\n"


COMMANDS = ("compare", "drift", "evaluate", "models", "predict", "recalibrate", "report", "score", "simulate")


def test_help_has_the_whole_summary_of_every_command(run):
    lines = run("--help").output.split("Commands:")[1]
    text = " ".join(lines.split())
    assert "..." not in text
    for name in COMMANDS:
        summary = main.commands[name].help.split("\n\n")[0]
        assert f"{name} {' '.join(summary.split())}" in text
    assert set(COMMANDS) == set(main.commands)


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=str)
def test_h_is_help(run, arguments):
    assert run(*arguments, "-h").output == run(*arguments, "--help").output
    assert "-h, --help" in run(*arguments, "-h").output


def test_the_version_is_known(run):
    assert __version__ in run("--version").output


def test_a_command_that_is_nearly_right_is_met_with_the_right_one(run):
    result = run("modles")
    assert result.exit_code == 2
    assert "Did you mean 'models'?" in result.output


@pytest.mark.parametrize("command", [["-m", "drugpred"], ["-c", "from drugpred.cli import main; main()"]], ids=str)
def test_help_is_there_at_once_and_loads_no_library_of_numbers(command):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "simulate" in done.stdout
    loaded = imported(done.stderr)
    assert "drugpred.cli.predict" in loaded
    assert not loaded & {"bentoml", "numpy", "pandas", "pyarrow", "pydantic", "rich.console", "sklearn"}


def test_help_takes_at_most_ten_times_as_long_as_python_alone():
    def seconds(*arguments):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    taken = [(seconds("-m", "drugpred", "--help"), seconds("-c", "pass")) for _ in range(5)]
    assert min(with_help for with_help, _ in taken) < 10 * min(alone for _, alone in taken)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pre"], ["predict"]),
        (["predict", "--country", "re"], ["Republic of Ireland"]),
        (["predict", "--drugs", "lsd,ca"], ["lsd,caffeine", "lsd,cannabis"]),
        (["score", "--window", "d"], ["decade", "day"]),
    ],
    ids=str,
)
def test_the_shell_completes_commands_labels_and_drugs(words, expected):
    done = subprocess.run(
        [sys.executable, "-c", "from drugpred.cli import main; main(prog_name='drugpred')"],
        cwd=ROOT,
        env=os.environ
        | {
            "_DRUGPRED_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["drugpred", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == expected
