"""Put faults into a copy of the product, one at a time, and check that quick tests find each.

python -m tests.mutations [NAME ...]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.harness import ROOT


class Mutation(NamedTuple):
    """A mistake: the replacement for a text that a file has once, and the tests that find it."""

    path: str
    old: str
    new: str
    tests: str = ""  # by default the file of tests that mirrors the module

    def named_tests(self) -> str:
        return self.tests or re.sub(r"^drugpred/(.*?)(\w+\.py)$", r"tests/\1test_\2", self.path)


# fmt: off
_BY_FILE = {
    # Each of the faults of tests/test_faults.py is among these.
    "training/estimators.py": {
        "fitting changes the data": (
            "return last_use[:, :, np.newaxis] > np", "last_use -= 1\n    return last_use[:, :, np.newaxis] >= np"),
        "age is not learned from": ("name not in leave_out for", 'name not in (*leave_out, "age") for'),
        "a stored network keeps what it was fitted to": (
            "columns, targets = X @ trends", "self.design_, columns, targets = X, X @ trends")},
    "training/per_drug.py": {"a stored classifier keeps what it was fitted to": (
        "fitted = {at: self", "self.design_, fitted = X, {at: self",
        "tests/training/test_per_drug.py::test_the_stored_pipeline_holds_no_sampler_and_no_respondent")},
    "training/card.py": {"figures have no intervals": ("n, v in bounds.items() if np", "n, v in {}.items() if np")},
    "training/evaluation.py": {"use is predicted from .5 on": (
        "thresholds = metrics.base_rates(last_use[train])", "thresholds = np.full((18, 6), 0.5)")},
    "codebook.py": {"an unknown label becomes the first": ('raise ValueError(f"expected {self.one_of}")', "return 0")},
    "predictor.py": {"scores are standardized by the rows of one call": (
        "    return columns\n",
        "    columns[:, _N_LEVELS:] -= columns[:, _N_LEVELS:].mean(axis=0)\n    return columns\n")},
    "uncertainty.py": {
        "bounds cross between windows": ("bounds[..., ::-1].sort()", "bounds.sort(axis=0)"),
        "intervals know of no misfit": ("np.exp(squares, dtype", "np.exp(squares - np.sqrt(_LEAST), dtype"),
        "scores far out are usual": ("distance > self._distance", "distance > np.inf")},
    "training/laplace.py": {"covariances are made of the respondents' rows": (
        "    rows = simulated_rows(X)\n    design", "    rows = np.resize(X, (SIMULATED, 12))\n    design")},
    "tabular.py": {"columns may hold impossible scores": ("[[SINGLE]] * len(SCORES)", "[[1.0]] * len(SCORES)")},
    "schemas.py": {
        "scores of a request are in alphabetical order": (
            "itemgetter(*_SCORES)", "itemgetter(*sorted(_SCORES))"),
        "a score beyond the bounds becomes the bound": (
            "_refuse(score.expected(value=value))", "return min(max(value, score.lowest), score.highest)"),
        "an unknown category becomes the last one": ("_refuse(category.expected)", "return category.labels[-1]"),
        "an error has the name of an unknown field": ('each["loc"][:-1], "expected', 'each["loc"], "expected')},
    "model_store.py": {
        "a model with other inputs is served": (
            "(card.inputs, tuple(card.drugs), card.windows) != (codebook.INPUTS, ",
            "(tuple(card.drugs), card.windows) != ("),
        "a file may be added to a model": (
            "    actual = _checksums(folder)\n",
            "    actual = {n: s for n, s in _checksums(folder).items() if n in (folder / _SUMS).read_text()}\n")},
    "limits.py": {"one caller may take all explanations": (
        "= MAX_EXPLAINING // 4", "= MAX_EXPLAINING", "tests/serving/test_predictions.py")},
    "client/retries.py": {"a client is back before it may": ('(getattr(error, "retry_after", None) or 0) + ', "")},
    "serving/batching.py": {
        "callers of one batch get the first one's answers": ("answers[start:stop]", "answers[: len(request)]"),
        "who waits longest is answered last": ("self._waiting.popleft()", "self._waiting.pop()")},
    "serving/rendering.py": {"a risk on the threshold is low": ("probability >= threshold", "probability > threshold")},
    "serving/v2/dataplane.py": {"drugs are in the order of the codebook": (
        "for name in names for kind, place", "for name in sorted(names, key=[*_PLACES].index) for kind, place")},
    "serving/endpoints.py": {"feedback needs another scope": (
        "AccessRule(scope=Scope.FEEDBACK)", "_PREDICT", "tests/serving/middleware/test_access.py")},
    "serving/middleware/error_format.py": {"the log has the message of an error": (
        "type(error).__name__, place", "error, place")},
    "serving/middleware/shutdown.py": {"a worker that ends takes new connections": (
        "uvicorn.Server.running.close_listeners()", "pass")},
    "serving/middleware/access.py": {
        "a body in parts may have any length": ("if size > max_bytes:", "if len(part) > max_bytes:"),
        "a compressed body may become of any length": ("body, max_bytes + 1)", "body)"),
        "a key may be in the query": (
            'headers.get(b"x-api-key"))\n',
            'headers.get(b"x-api-key", scope.get("query_string", b"").partition(b"=")[2] or None))\n')},
    "serving/patches/uvicorn_limits.py": {
        "a body may take any time": (
            "        self._in_head = False\n", "        self._in_head = False\n        self._since = None\n"),
        "headers in pieces may have any length": (
            "if self._first + self._received > MAX_HEAD_BYTES and", "if self._packet > MAX_HEAD_BYTES and"),
        "a trailer is a header": ("        self.headers = _DROPPED", "        # self.headers = _DROPPED")},
    "serving/grpc/interceptor.py": {
        "the card over gRPC needs no scope": (
            '(("GetModel", "ServerMetadata"', '(("ServerMetadata"',
            "tests/serving/grpc/test_server.py::test_each_method_has_its_scope"),
        "messages of a stream are not limited": (
            "if self._policy and message is not grpc.aio.EOF:", "if False:",
            "tests/serving/grpc/test_server.py::test_each_message_of_a_stream_counts_towards_the_rate")},
    "serving/access/api_keys.py": {
        "a part of a key's digest is enough": (
            "compare_digest(known, digest)", "compare_digest(known[:8], digest[:8])"),
        "keys of a removed file stay": (
            "            self._keys = self._given\n            self._log_once", "            self._log_once")},
    "serving/access/policy.py": {"all callers have one rate": ("self._rates.hit(caller.name)", 'self._rates.hit("")')},
    "serving/access/rate_limit.py": {"a rate begins anew with each period": (
        "counted = int(last * covered)", "counted = 0")},
    "monitoring/prediction_metrics.py": {
        "profiles are counted again at each flush": (
            "self._noted, self._waiting = self._noted, [], 0", "self._waiting = self._noted, 0"),
        "the first profiles of a call are counted for all": ("            start = stop\n", "")},
    "monitoring/binning.py": {"a value on an edge is of the bin above": ("[:, None] <= self", "[:, None] < self")},
    "monitoring/drift.py": {"drift is where nothing moved": ("psi > threshold if", "psi < threshold if")},
    "monitoring/outcome_metrics.py": {"a used drug is counted as not used": ("OUTCOMES[used]", "OUTCOMES[not used]")},
    "monitoring/rejection_metrics.py": {"a name that a caller made up is a label": (
        "in reversed(loc) if step in _FIELDS), _OTHER)", "in reversed(loc) if step in _FIELDS), str(loc[-1:]))")},
    "monitoring/feedback/dedup.py": {"feedback counts again": ("INSERT OR IGNORE", "INSERT OR REPLACE")},
    "bulk/job.py": {"a rejected row is also scored": (
        "batch = batch.filter(pa.array(good))", "pass", "tests/bulk/test_run.py")},
    "bulk/plan.py": {"the output may be the input": ("if same or any(", "if any(", "tests/bulk/test_run.py")},
    "bulk/output.py": {"a part that is cut off is taken as it is": (
        "if record and _is_complete(sink, record, sizes)}", "if record}",
        "tests/bulk/test_data_set.py::test_a_part_that_is_cut_off_or_missing_is_scored_again")},
    "bulk/run.py": {"finished parts are scored again": (
        "if task.number not in records]", "]",
        "tests/bulk/test_run.py::test_a_killed_run_continues_where_it_stopped")},
    "bulk/columnar_network.py": {"columns are in another order than their names": (
        "for drug in drugs]]", "for drug in sorted(drugs)]]")},
    "bulk/csv_source.py": {"malformed lines are not counted as lines": ("line += n_lines", "line += len(places)")},
}
# fmt: on
MUTATIONS = {
    name: Mutation(f"drugpred/{path}", *texts) for path, by_name in _BY_FILE.items() for name, texts in by_name.items()
}


def run(copy: Path, mutation: Mutation) -> str:
    """Return the first test that fails with a mistake in the copy, "" if none does."""
    file = copy / mutation.path
    content = file.read_text("utf-8")
    file.write_text(content.replace(mutation.old, mutation.new), "utf-8")
    try:
        done = run_tests(copy, *mutation.named_tests().split(), "-x")
    finally:
        file.write_text(content, "utf-8")
    assert done.returncode in {0, 1}, done.stdout + done.stderr  # no other error than that of a test
    return "".join(re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)[:1])


def run_tests(copy: Path, *arguments: str) -> subprocess.CompletedProcess:
    # All of one run, as far as the fixture `store` is concerned: the model is trained once, without a mistake.
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTEST_XDIST_WORKER": "gw0"}
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider"]
    command += ["--basetemp", str(copy.parent / "pytest"), *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=600)


def main(names: list[str]) -> int:
    chosen = {name: MUTATIONS[name] for name in names or MUTATIONS}
    missed = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder) / "checkout"
        for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")[:-1]:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        if (ROOT.parent / "shared").exists():
            (copy.parent / "shared").symlink_to(ROOT.parent / "shared")
        named = {test for mutation in chosen.values() for test in mutation.named_tests().split()}
        unchanged = run_tests(copy, *sorted(named))  # in another order pytest may miss a conftest.py
        assert unchanged.returncode == 0, unchanged.stdout
        for name, mutation in chosen.items():
            found = run(copy, mutation)
            missed += not found
            print(f"caught      {name}: {found}" if found else f"NOT CAUGHT  {name}", flush=True)  # noqa: T201
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
