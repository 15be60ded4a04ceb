"""The workflows of .github: what the linters find, and what none of them sees."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.harness import ROOT, skip

WORKFLOWS = ROOT / ".github" / "workflows"
CHAIN = ["test", "bento", "image", "index", "staging", "production", "publish"]


def read(name: str) -> dict:
    return yaml.safe_load((WORKFLOWS / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def release() -> dict:
    return read("release.yml")["jobs"]


def jobs() -> list:
    return [
        pytest.param(job, id=f"{path.stem}-{name}")
        for path in sorted(WORKFLOWS.iterdir())
        for name, job in read(path.name)["jobs"].items()
    ]


def script(job: dict) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def command(name: str, *arguments: str) -> subprocess.CompletedProcess:
    beside = Path(sys.executable).parent / name
    path = beside if beside.is_file() else shutil.which(name)
    if path is None:
        skip(f"no {name}: pip install -e '.[test]'")
    return subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "linter", [("jactionlint", "--strict-exit"), ("zizmor", "--offline", "-q", "--pedantic", ".github")]
)
def test_linters_find_nothing(linter):
    done = command(*linter)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_script_with_untrusted_input_is_found(tmp_path):
    workflow = tmp_path / ".github" / "workflows" / "bad.yml"
    workflow.parent.mkdir(parents=True)
    step = '{run: "echo ${{ github.event.issue.title }}"}'
    workflow.write_text(f"on: issues\njobs: {{bad: {{runs-on: ubuntu-24.04, steps: [{step}]}}}}\n", "utf-8")
    assert command("jactionlint", str(workflow)).returncode != 0
    assert command("zizmor", "--offline", "-q", str(workflow)).returncode != 0


@pytest.mark.parametrize("path", sorted(WORKFLOWS.iterdir()), ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_name_their_version(path):
    for line in re.findall(r"^.*\buses: .*$", path.read_text("utf-8"), re.MULTILINE):
        assert re.search(r"uses: (\$/\.github/workflows/\w+\.yml$|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)", line), line


def test_one_action_has_one_version():
    found = {}
    for path in WORKFLOWS.iterdir():
        for action, pin in re.findall(r"uses: ([\w./-]+)@(.*)$", path.read_text("utf-8"), re.MULTILINE):
            assert found.setdefault(action, pin) == pin, action


@pytest.mark.parametrize("path", sorted(WORKFLOWS.iterdir()), ids=lambda path: path.stem)
def test_a_workflow_has_only_the_permissions_of_its_jobs(path):
    workflow = read(path.name)
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())
    assert "concurrency" in workflow
    assert "pull_request_target" not in workflow[True]  # YAML's on


@pytest.mark.parametrize("job", jobs())
def test_a_job_ends_in_time_keeps_no_credentials_and_puts_nothing_into_scripts(job):
    if "uses" in job:
        return
    assert job["timeout-minutes"] <= 90
    for step in job["steps"]:
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_writing_is_for_the_last_job_alone(release):
    writing = {name for name, job in release.items() if "write" in job["permissions"].values()}
    assert writing == {"publish"}


def test_each_job_of_a_release_waits_for_the_one_before_it(release):
    assert list(release) == CHAIN
    for name, job in list(release.items())[1:]:
        needed = job["needs"] if isinstance(job["needs"], list) else [job["needs"]]
        assert needed[-1] == CHAIN[CHAIN.index(name) - 1]


def test_secrets_are_those_of_an_environment(release):
    for job in release.values():
        if "secrets." in str(job):
            assert job["environment"] in {"registry", "staging", "production"}


def test_a_pushed_image_was_run_and_scanned_before(release):
    steps = script(release["image"])
    order = ["bentoml containerize", "docker run", "smoke.py", '"$GRYPE"', "docker push"]
    assert sorted(order, key=steps.index) == order
    assert "--fail-on high" in steps
    assert [each["platform"] for each in release["image"]["strategy"]["matrix"]["include"]] == ["amd64", "arm64"]


def test_production_is_deployed_after_the_canary_and_rolled_back_on_failure(release):
    steps = script(release["production"])
    order = [
        "-k configs/deploy/kubernetes/canary\n",
        "canary.py",
        "kubernetes/overlays/production\n",
        "smoke.py",
        "rollout undo",
    ]
    assert sorted(order, key=steps.index) == order
    back, end = release["production"]["steps"][-2:]
    assert back["if"] == "${{ !success() && steps.deploy.outputs.begun }}"
    assert "kubectl delete -k configs/deploy/kubernetes/canary" in end["run"]
    assert end["if"] == "always()"


@pytest.mark.parametrize("job", jobs())
def test_files_named_in_scripts_exist(job):
    for path in re.findall(r"(?:configs|\.ci)/[\w./-]+", script(job) if "steps" in job else ""):
        assert (ROOT / path).exists(), path


def test_namespaces_and_deployments_are_those_of_the_manifests(release):
    folder = ROOT / "configs" / "deploy" / "kubernetes"
    for name, namespace in (("staging", "drugpred-staging"), ("production", "drugpred")):
        assert (
            yaml.safe_load((folder / "overlays" / name / "kustomization.yaml").read_text("utf-8"))["namespace"]
            == namespace
        )
        assert set(re.findall(r"kubectl -n ([\w-]+) ", script(release[name]))) == {namespace}
    assert set(re.findall(r"deployment/([\w-]+)", script(release["production"]))) == {"drugpred", "drugpred-canary"}
    assert "value: drugpred-canary}" in (folder / "canary" / "kustomization.yaml").read_text("utf-8")
