"""The blocks of every Markdown file work, in a fresh clone, and every link has a target."""

import os
import re
import shutil
import socket
import subprocess
import sysconfig
import tomllib

import pytest

from drugpred.data import download
from tests.documentation import DOCUMENTS, WrongBlockError, agree, blocks_of, broken_links, run
from tests.harness import ROOT, skip
from tests.harness.ports import free_ports

# A network of its own, in which ports 3000, 3001, 9090 and 9093 are free and nothing else can be reached; and processes
# of its own, which end with the first of them.
ALONE = [
    "unshare",
    *(["--map-root-user"] if os.geteuid() else []),
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]
ALONE += ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]

PROGRAMS = ("curl", "git", "ip", "openssl", "prometheus", "prometheus-alertmanager", "unshare")


def outcome(folder, text, **options):
    """Run a document of this text."""
    scratch = folder / "scratch"
    scratch.mkdir()
    (folder / "DOC.md").write_text(text)
    run(blocks_of(folder, "DOC.md"), folder, scratch, {"PATH": os.environ["PATH"]}, **options)


GOOD = """
```bash
echo 'age,probability
25,0.8522' > people.csv
GREETING=hello
```

```bash
cat people.csv
echo "$GREETING"; false || echo "exit $?"
```

```text
age,probability
25,0.8523
hello
exit 1
```

```python
import json
print(json.dumps({"model": "drug_consumption:a", "risks": [0.5, 1]}))
```

```json
{"model": "drug_consumption:h4wqiixhcwy6uax4", "risks": [0.5001, ...]}
```

```bash needs Docker
docker compose up
```
"""

SPOILED = {
    "a command": ("cat people", "cta people", r"DOC.md:8: exit 127\n.*cta: command not found"),
    "a failure": ("false ||", "false;", "DOC.md:8: exit 1"),
    "an input": ("> people.csv", "> other.csv", r"DOC.md:8: exit 1\n.*people.csv: No such file"),
    "an output": ("hello\nexit", "hallo\nexit", r"DOC.md:8: expected\nage,(.|\n)*hallo"),
    "a line too few": ("\nhello\n", "\n", "DOC.md:8: expected"),
    "a figure": ("25,0.8523", "25,0.8623", "DOC.md:8: expected"),
    "a whole number": ("25,0.8523", "26,0.8523", "DOC.md:8: expected"),
    "an exit code": ("exit 1\n", "exit 2\n", "DOC.md:8: expected"),
    "Python": ("json.dumps", "json.dump", r"DOC.md:20: exit 1(.|\n)*TypeError"),
    "Python's syntax": ("import json", "import", "DOC.md:20: invalid syntax"),
    "JSON": ("[0.5001", "[0.6", "DOC.md:20: expected"),
    "JSON's names": ('"risks": [0.5001', '"risk": [0.5001', "DOC.md:20: expected"),
    "the syntax of what is not run": ("compose up", "compose up 'x", "DOC.md:29: .*unexpected EOF"),
    "a fence": ("```bash needs", "```shell needs", "DOC.md:29: expected a fence of a known kind"),
    "a prompt": ("cat people", "$ cat people", r"DOC.md:8: exit 127"),
    "a fence that is left open": ("[0.5001, ...]}\n```", "[0.5001, ...]}", "DOC.md: expected every fence to be closed"),
    "an output of no command": ("```json", "Somewhere else:\n\n```json", "DOC.md:27: expected the command right above"),
}


def test_a_good_document(tmp_path):
    outcome(tmp_path, GOOD)


@pytest.mark.parametrize(("part", "spoiled", "message"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_document_is_noticed(tmp_path, part, spoiled, message):
    assert GOOD.count(part) == 1
    with pytest.raises(WrongBlockError, match=message):
        outcome(tmp_path, GOOD.replace(part, spoiled))


SERVERS = """
```bash serves 1234
mkdir one; echo one > one/page; python -m http.server -d one --bind 127.0.0.1 1234
```

```bash serves 1234
mkdir two; echo two > two/page; python -m http.server -d two --bind 127.0.0.1 1234
```

```bash
curl -s localhost:1234/page
```

```text
two
```
"""


def test_a_server_runs_on_until_the_next_one_at_its_port(tmp_path):
    (port,) = free_ports(1)
    outcome(tmp_path, SERVERS.replace("1234", str(port)))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port))


def test_a_server_that_does_not_start_is_noticed(tmp_path):
    with pytest.raises(WrongBlockError, match=r"DOC.md:2: exit 1(.|\n)*server.py: error"):
        outcome(tmp_path, SERVERS.replace("-d one", "--on one"))


def test_a_shorter_command_must_be_of_a_block(tmp_path):
    shorter = {"echo slow": "echo quick"}
    outcome(tmp_path, "```bash\necho slow\n```\n\n```text\nquick\n```\n", shorter=shorter)
    shutil.rmtree(tmp_path / "scratch")
    with pytest.raises(WrongBlockError, match="expected a block with 'echo slow'"):
        outcome(tmp_path, GOOD, shorter=shorter)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("stored drug_consumption:jixqcqhhes3i4ax4 in 3 s\n", "stored drug_consumption:u32lp4hk6gzc2ax4 in 5.25 s\n"),
        ("first\n...\nlast\n", "first\nsecond\nthird\nlast\n"),
        ('Bento(tag="drugpred:...").\n', 'Bento(tag="drugpred:abc").\n'),
        ("key: …\n", "key: 9a3c01ab\n"),
        ("done\n", "simulating ━━━━━━━━ 100% 0:00:02\ndone\n"),
        ("2026-11-23 14:45:15  94.1 KiB\n", "2027-01-02 03:04:05 100.25 KiB\n"),
    ],
)
def test_values_that_vary_between_runs_may_differ(shown, said):
    assert agree(shown, said)
    assert not agree(shown, said + "more\n")


def test_varying_figures_differ_and_words_do_not():
    assert agree("POST p95  4 ms  yes\n", "POST p95  12 ms  yes\n", "text varies")
    assert not agree("POST p95  4 ms  yes\n", "POST p95  12 ms  no\n", "text varies")


def test_every_document_is_checked():
    files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, text=True)
    assert sorted(DOCUMENTS) == sorted(name for name in files.splitlines() if (ROOT / name).is_file())


def test_the_readme_is_short():
    content = (ROOT / "README.md").read_bytes()
    assert content.count(b"\n") <= 200
    assert len(content) <= 12_000


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    assert broken_links(ROOT, document) == []


def test_a_broken_link_is_noticed(tmp_path):
    (tmp_path / "other.md").write_text("# One `b` two\n\n```bash\n# no heading\n```\n")
    good = ["other.md", "other.md#one-b-two", "#here", "https://one.example/x#y"]
    bad = ["another.md", "other.md#one", "#there", "other.md#no-heading"]
    (tmp_path / "DOC.md").write_text("## Here\n" + "".join(f"[a]({link}) ![b]({link})\n" for link in good + bad))
    assert broken_links(tmp_path, "DOC.md") == [link for link in bad for _ in range(2)]


def test_every_file_that_is_named_is_there():
    names = set()
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        names |= set(re.findall(r"(?<![\w/.])(?:configs|drugpred|loadtest|tests)/[\w./-]+\w", text))
        if document == "configs/README.md":
            names |= {f"configs/{name}" for name in re.findall(r"`((?:deploy|monitoring|locks)/[\w./-]+\w)`", text)}
    made = re.compile(r"configs/(deploy/(secrets/|bentoml|\.env)|monitoring/metrics_key)")
    folders = (ROOT, ROOT / "drugpred" / "proto")
    assert len(names) > 40
    assert [name for name in names if not made.match(name) and not any((f / name).exists() for f in folders)] == []


def test_every_extra_that_is_named_is_there():
    text = "".join((ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS)
    named = {extra for extras in re.findall(r"pip install .*?-e '\.\[([\w,]+)\]'", text) for extra in extras.split(",")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"train", "test", "bulk"} <= named <= set(project["optional-dependencies"])


def test_no_package_is_named_that_is_not_published():
    """Anybody could publish one of that name."""
    text = "".join((ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS)
    assert re.findall(r"(?:pip install|uv add|pipx run)[^`\n]*\bdrugpred\b.*", text) == []


@pytest.fixture
def clone(tmp_path):
    """A clone of the checkout, with uncommitted changes."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")[:-1]:
        if (ROOT / name).is_file():
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
def test_every_block_works(clone, uci_path, default_store, store, tmp_path):
    for program in PROGRAMS:
        if shutil.which(program) is None:
            skip(f"no {program}")
    if subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        skip("no right to a network of its own (unshare --map-root-user --net)")
    # The environment of a newcomer, in which pip finds the installed packages, with the downloaded data.
    home, scratch, wheels = (tmp_path / name for name in ("home", "scratch", "wheels"))
    scratch.mkdir()
    cache = home / ".cache" / "drugpred"
    cache.mkdir(parents=True)
    shutil.copyfile(uci_path, cache / download.FILE)
    subprocess.run(["pip", "download", "-q", "-d", wheels, "hatchling>=1.27", "editables"], check=True)
    environment = {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "LOKY_MAX_CPU_COUNT": "1",  # the other cores run other tests
    }
    (home / ".curlrc").write_text("silent\n")  # as it is where output is a terminal
    before = subprocess.check_output(["git", "status", "--porcelain"], cwd=clone, text=True)
    quick = f"BENTOML_HOME='{shutil.copytree(store, tmp_path / 'quick')}' python train.py --config"
    levels = tmp_path / "levels.yaml"
    levels.write_text("POST /predict: {p95_ms: 9999, requests_per_second: 9}\nAggregated: {error_rate: 0}\n")
    shorter = {
        "python train.py && ": f"cp -R '{default_store}' ~/bentoml && ",
        "python train.py --track": f"{quick} tests/quick.yaml --track",
        "configs/train.yaml > worse.yaml": "tests/quick.yaml > worse.yaml",
        "python train.py --config worse.yaml": f"{quick} worse.yaml",
        # Each takes as long as the first, which is run as it stands; that there are such extras, another test sees.
        **{
            f"pip install -q -c configs/locks/dev.txt -e '.[train,{extra}]'\n": ""
            for extra in ("bulk", "track", "load")
        },
        "-u 55 -r 55 -t 30s": "-u 9 -r 9 -t 12s",
        "loadtest/slo.yaml": f"'{levels}'",
    }
    blocks = [block for document in DOCUMENTS for block in blocks_of(clone, document)]
    run(blocks, clone, scratch, environment, shorter, ALONE)
    after = subprocess.check_output(["git", "status", "--porcelain"], cwd=clone, text=True)
    assert after == before, "blocks leave files that .gitignore does not name"
