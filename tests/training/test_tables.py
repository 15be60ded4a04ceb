"""Tables, printed and in Markdown."""

from rich.console import Console

from drugpred.training.tables import Table, format_number

TABLE = Table("a title", ("figure", "our\nvalue"), [("auc", "0.8870"), ("log loss", "-")], "A note.")


def test_markdown():
    assert TABLE.markdown().splitlines() == [
        "## a title",
        "",
        "| figure | our value |",
        "| --- | ---: |",
        "| auc | 0.8870 |",
        "| log loss | - |",
        "",
        "A note.",
    ]
    assert Table("t", ("a",), [("b",)]).markdown().endswith("| b |")


def test_the_terminal_shows_all_of_it():
    console = Console(width=80)
    with console.capture() as capture:
        console.print(TABLE.rich())
    shown = capture.get()
    for text in ("a title", "figure", "our", "value", "auc", "0.8870", "log loss", "A note."):
        assert text in shown


def test_numbers():
    assert format_number(0.88704) == "0.8870"
    assert format_number(-1.26, 1) == "-1.3"
    assert format_number(None) == format_number(float("nan")) == "-"
