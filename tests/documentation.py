"""Runs the blocks of Markdown documents in their order, as a reader does who pastes them into a terminal.

A fence says what its block is:

```bash               is run; it must end with 0
```bash serves 3000   is a server: it runs on, and what served at that port before is ended by Ctrl-C
```bash needs Docker  needs what a test has not, and is read by bash alone
```python             is run, too
```text, ```json      directly below: what the block above prints
```text varies        the same, of figures that no two runs have in common
"""

import json
import math
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DOCUMENTS = (
    "README.md",
    "drugpred/README.md",
    "drugpred/cli/README.md",
    "drugpred/client/README.md",
    "drugpred/bulk/README.md",
    "drugpred/training/README.md",
    "drugpred/monitoring/README.md",
    "drugpred/serving/README.md",
    "drugpred/serving/patches/README.md",
    "configs/monitoring/README.md",
    "loadtest/README.md",
    "configs/README.md",
    ".github/CONTRIBUTING.md",
    ".github/SECURITY.md",
    "CHANGELOG.md",
)
"""In the order in which their blocks are run: a document may need what those above it install, store and start."""

# Another processor rounds differently, and a hundred steps of an optimizer make that visible.
TOLERANCE = 0.003

DRUGPRED_NAME = re.compile(r"(?<!_)DRUGPRED_[A-Z_]*[A-Z]")
_FENCE = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)
_KINDS = re.compile(r"bash|bash serves \d+|bash needs .+|python|text|text varies|json")

_START = """\
set -em
declare -A servers
trap 'for group in "${servers[@]}"; do kill -INT -- "-$group" || true; done; wait || true' EXIT
serve() {  # PORT FILE: run the file on, and wait until it answers at the port
    if [ "${servers[$1]-}" ]; then kill -INT -- "-${servers[$1]}"; wait "${servers[$1]}" || true; fi
    (. "$2") > "$2.out" 2>&1 < /dev/null &
    servers[$1]=$!
    until curl -so /dev/null --max-time 60 "localhost:$1/"; do kill -0 "${servers[$1]}"; sleep .1; done
}
"""


class WrongBlockError(Exception):
    """A block that does not do what its document says; the message names the document and the line."""


@dataclass(frozen=True)
class Block:
    place: str
    """Document and line of its fence."""
    kind: str
    text: str
    shown: str | None = None
    """Its output in the document."""
    shown_kind: str = ""

    @property
    def needs(self) -> bool:
        return self.kind.startswith("bash needs")

    @property
    def port(self) -> str:
        """Where it serves; empty where it ends by itself."""
        return self.kind.partition(" serves ")[2]


def blocks_of(folder: Path, document: str) -> list[Block]:
    """Return the blocks of a document of the folder, each with the output that stands below it.

    Raises
    ------
    WrongBlockError
        A fence is none of those that the module names or is not closed, or an output stands below no block.
    """
    text = (folder / document).read_text(encoding="utf-8")
    blocks: list[Block] = []
    end = -1
    fences = list(_FENCE.finditer(text))
    if len(re.findall(r"^```", text, re.MULTILINE)) != 2 * len(fences):
        raise WrongBlockError(f"{document}: expected every fence to be closed")
    for fence in fences:
        kind, content = fence.groups()
        place = f"{document}:{text.count(chr(10), 0, fence.start()) + 1}"
        if not _KINDS.fullmatch(kind):
            raise WrongBlockError(f"{place}: expected a fence of a known kind, not {kind!r}")
        if kind.startswith(("bash", "python")):
            blocks.append(Block(place, kind, content))
        elif blocks and blocks[-1].shown is None and not text[end : fence.start()].strip():
            above = blocks.pop()
            blocks.append(Block(above.place, above.kind, above.text, content, kind))
        elif kind != "text varies":
            raise WrongBlockError(f"{place}: expected the command right above its output")
        end = fence.end()
    return blocks


def run(
    blocks: Sequence[Block],
    folder: Path,
    scratch: Path,
    environment: Mapping[str, str],
    shorter: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> None:
    """Run blocks in a folder, all in one bash, and compare their output.

    Parameters
    ----------
    scratch
        An empty folder for the scripts and their output.
    shorter
        Commands to run in place of slow ones. Each must be in a block.
    within
        The command that runs bash.

    Raises
    ------
    WrongBlockError
        The first block that fails, prints something else, or is no bash or Python.
    """
    shorter = dict(shorter or {})
    script = [_START]
    for number, block in enumerate(blocks):
        text = block.text
        for command in [command for command in shorter if command in text]:
            text = text.replace(command, shorter[command])
        file = scratch / str(number)
        file.write_text(text, encoding="utf-8")
        _check_syntax(block, file)
        if block.needs:
            continue
        script.append(f"echo {number} > '{scratch}/at'")
        if block.port:
            script.append(f"serve {block.port} '{file}'")
        else:
            command = f"python '{file}'" if block.kind == "python" else f". '{file}'"
            script.append(f"{{ {command}; }} > '{file}.out' 2>&1 < /dev/null")
    for command in shorter:
        if not any(command in block.text for block in blocks):
            raise WrongBlockError(f"expected a block with {command!r}")
    (scratch / "all").write_text("\n".join(script), encoding="utf-8")
    done = subprocess.run(
        [*within, "bash", scratch / "all"], cwd=folder, env=environment, capture_output=True, text=True, timeout=1200
    )
    last = int((scratch / "at").read_text()) if (scratch / "at").exists() else 0
    for number, block in enumerate(blocks[: last + 1]):
        output = scratch / f"{number}.out"
        said = output.read_text(encoding="utf-8") if output.exists() else ""
        if done.returncode and number == last:
            raise WrongBlockError(f"{block.place}: exit {done.returncode}\n{done.stderr}{said}")
        if not block.needs and block.shown is not None and not agree(block.shown, said, block.shown_kind):
            raise WrongBlockError(f"{block.place}: expected\n{block.shown}\nnot\n{said}")


def _check_syntax(block: Block, file: Path) -> None:
    if block.kind == "python":
        try:
            compile(block.text, block.place, "exec")
        except SyntaxError as error:
            raise WrongBlockError(f"{block.place}: {error}") from None
    else:
        done = subprocess.run(["bash", "-n", file], capture_output=True, text=True)
        if done.returncode or done.stderr:
            raise WrongBlockError(f"{block.place}: {done.stderr}")


def agree(shown: str, said: str, kind: str = "text") -> bool:
    """Return whether an output agrees with the document, except for values that vary between runs.

    These are ids, tags, times, sizes and the last digits of figures; `...` matches anything, as a separate line any
    lines. Progress bars and the times of `drugpred score` are left out.
    """
    said = re.sub(r".*(━| s to start, ).*\n", "", said)
    if kind == "json":
        try:
            return _agree_json(json.loads(shown.replace("...", '"..."')), json.loads(said))
        except json.JSONDecodeError:
            return False
    figures: list[str] = []
    pattern = "".join(_pattern(line, figures) for line in shown.splitlines())
    found = re.fullmatch(pattern, "".join(line.strip() + "\n" for line in said.splitlines() if line.strip()))
    return found is not None and (kind == "text varies" or all(map(_agree_figures, figures, found.groups())))


_IDS = {"prediction_id", "model", "model_version"}


def _agree_json(shown: object, said: object) -> bool:
    if isinstance(shown, dict):
        return (
            isinstance(said, dict)
            and list(said) == list(shown)
            and all(_agree_json(shown[key], said[key]) for key in shown if key not in _IDS)
        )
    if isinstance(shown, list):
        if not isinstance(said, list):
            return False
        if shown[-1] == "...":
            said, shown = said[: len(shown) - 1], shown[:-1]
        return len(said) == len(shown) and all(map(_agree_json, shown, said))
    if isinstance(shown, float):
        return isinstance(said, float) and math.isclose(shown, said, rel_tol=0, abs_tol=TOLERANCE)
    return said == shown


# Patterns of the values that vary between runs.
_VARYING = {
    r"\.\.\.|…": r".*",
    r"drug_consumption[:-][a-z2-7]{16}": r"drug_consumption[:-][a-z2-7]{16}",
    r"\b[0-9a-f]{32,}\b": r"[0-9a-f]{32,}",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    r"\d[\d,.]* (?:KiB|MiB|ms|s)\b": r"\d[\d,.]* (?:KiB|MiB|ms|s)",
    r"(?P<figure>(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?!\w))": r"(-?\d[\d,]*(?:\.\d+)?)",
    r"\s+": r"\s+",
}
_PARTS = re.compile("|".join(f"({part})" for part in _VARYING))


def _pattern(line: str, figures: list[str]) -> str:
    """Return the regular expression of a line; each group of it is to agree with one of the figures."""
    line = line.strip()
    if line in {"", "..."}:
        return "" if not line else r"(?:.*\n)*?"
    pattern, end = "", 0
    for part in _PARTS.finditer(line):
        pattern += re.escape(line[end : part.start()])
        pattern += next(like for known, like in _VARYING.items() if re.fullmatch(known, part[0]))
        if part["figure"]:
            figures.append(part[0])
        end = part.end()
    return pattern + re.escape(line[end:]) + r"\n"


def _agree_figures(shown: str, said: str) -> bool:
    if "." not in shown:
        return shown == said
    return math.isclose(float(shown.replace(",", "")), float(said.replace(",", "")), rel_tol=0, abs_tol=TOLERANCE)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a document."""
    text = _FENCE.sub("", text)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def broken_links(folder: Path, document: str) -> list[str]:
    """Return the relative links of a document that lead to no file of the folder, or to no heading in it."""
    text = _FENCE.sub("", (folder / document).read_text(encoding="utf-8"))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = ((folder / document).parent / path).resolve() if path else folder / document
        if link.startswith(("http://", "https://")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def table(text: str, *header: str) -> list[list[str]]:
    """Return the cells of the rows of the table in a document whose header begins with these cells."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {' | '.join(header)} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
