"""Everything that a person reads is plain English: a list of phrases to avoid, each with what to write instead."""

import io
import re
import subprocess
import tokenize
from pathlib import PurePosixPath

import pytest

from tests.conftest import ROOT

WORDS = {
    r"(?:tell|tells|told|telling)(?! apart)": "report, return or show",
    r"(?:tell|tells|told|telling)(?: \w+)? apart": "distinguish",
    r"what (?:is|are|was|were|has|have|had|does|did|it|they|comes|came|must|can|cannot|stands)": "name the thing",
    r"returns? (?:what|which|who|how)": "name the thing that is returned",
    r"who (?:asks?|asked|calls|called|has|wants|sends)": "the caller, a client that …",
    r"whoever|whosoever|whatever|whichever|however (?:many|much|long|often|few|large)": "any",
    r"such that": "so that",
    r"so (?:many|much|long|often)(?! (?:as|that))": "name the number, the amount or the time",
    r"where (?:no|none|nothing|nobody|(?:it|there) (?:is|has|was)|(?:they|there) (?:are|have|were))": "if or when",
    r"(?:let|lets|letting)(?: \w+)? in": "accept",
    r"(?:let|lets|letting) go": "close or release",
    r"(?:go|goes|going|went) on": "continue",
    r"(?:take|takes|taken) no more": "no longer accept",
    r"for ever|anew|ever new": "forever, again",
    r"beside": "next to, in addition to",
    r"(?:stand|stands|stood) (?:for|in|behind)": "mean, represent, be in, follow",
    r"(?:is|are|was|were) to be": "must be",
    r"(?:turn|turns|turned) out": "the outcome",
    r"seldom|thereof|whereof|thereby|whereby|herein|wherein|lest|albeit": "rarely, so, in which",
    r"but for": "except",
    r"the same of": "the same for",
}
PATTERN = re.compile(rf"(?<![\w-])(?:{'|'.join(f'({words})' for words in WORDS)})(?![\w-])", re.IGNORECASE)
NAME = re.compile(r"(?:^|_)(tells?|told|what|who|whoever|whatever|whichever|anew|beside|lets?_in|go(?:es)?_on)(?=_|$)")
DEFINED = re.compile(r"^ *(?:async def|def|class) (\w+)", re.MULTILINE)
ENDINGS = {".py", ".md", ".yaml", ".yml", ".json", ".js", ".html", ".css", ".sh", ".cfg", ".proto", ".txt"}
FOLDERS = ("drugpred/", "loadtest/", "configs/", "tests/", "service.py", "train.py")
EXCEPTIONS = ("configs/locks/", "tests/test_words.py")


def files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        name
        for name in listed.splitlines()
        if (name.startswith(FOLDERS) or name.endswith(".md")) and PurePosixPath(name).suffix in ENDINGS
        if not name.startswith(EXCEPTIONS) and "_pb2" not in name
    ]


def texts(name, content):
    """Yield the first line and the content of each text for people; in tests strings are data, except docstrings."""
    if not name.endswith(".py"):
        yield 1, content
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        is_text = token.type == tokenize.STRING and not name.startswith("tests/")
        if token.type == tokenize.COMMENT or is_text or token.string.startswith('"""'):
            yield token.start[0], token.string


def names(name, content):
    """Yield the line and the name of each test, and of each function and class of the package."""
    if name.endswith(".py"):
        for match in DEFINED.finditer(content):
            yield content.count("\n", 0, match.start()) + 1, match[1]


def faults(name, content):
    """Return a line for each phrase to avoid: its place, the phrase, and what to write instead."""
    found = []
    for first, text in texts(name, content) if PATTERN.search(content) else ():
        for match in PATTERN.finditer(text):
            line = first + text.count("\n", 0, match.start())
            found.append(f"{name}:{line}: {match[0]!r}: write {list(WORDS.values())[match.lastindex - 1]}")
    for line, defined in names(name, content):
        found += [f"{name}:{line}: the name {defined}: avoid {match[1]!r}" for match in NAME.finditer(defined)]
    return found


def test_texts_are_plain():
    assert [fault for name in files() for fault in faults(name, (ROOT / name).read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.md", "one\nIt is told\n", ["a.md:2: 'told': write report, return or show"]),
        ("a.py", 'x = "a"\n"""One.\n\nWho asks"""\n', ["a.py:4: 'Who asks': write the caller, a client that …"]),
        ("a.py", "x = 1  # anew\n", ["a.py:1: 'anew': write forever, again"]),
        ("a.py", "def it_is_told(): ...\n", ["a.py:1: the name it_is_told: avoid 'told'"]),
        ("a.py", "told = whatever\n", []),
        ("tests/a.py", "x = 'told'\n", []),
        ("a.md", "a total, foretold, so that; as long as; go online\n", []),
    ],
)
def test_phrases_are_found_with_their_place(name, content, expected):
    assert faults(name, content) == expected
