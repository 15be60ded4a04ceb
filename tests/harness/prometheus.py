"""A real Prometheus and Alertmanager with the project's configuration, their targets and their receivers."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import yaml

from tests.harness import PLAIN, ROOT, running, serving, skip, wait
from tests.harness.ports import free_ports

MONITORING = ROOT / "configs" / "monitoring"


def program(name: str) -> str:
    """Return the path of a program of Debian's prometheus or prometheus-alertmanager."""
    path = shutil.which(name)
    if path is None:
        skip(f"no {name}: apt-get install prometheus prometheus-alertmanager")
    return path


@dataclass
class Prometheus:
    """A running Prometheus."""

    url: str

    def get(self, path: str, **parameters: str) -> object:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30, verify=PLAIN).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> list[dict[str, object]]:
        """Return the series of an instant vector: `metric` and `value`."""
        moment = {} if at is None else {"time": str(at)}
        return self.get("query", query=expression, **moment)["result"]

    def values(self, expression: str, *labels: str, at: float | None = None) -> dict[tuple[str, ...], float]:
        """Return the values by the labels named."""
        return {
            tuple(each["metric"][label] for label in labels): float(each["value"][1])
            for each in self.query(expression, at)
        }

    def wait(self, expression: str) -> list[dict[str, object]]:
        """Return the series of an expression once it has any."""
        return wait(lambda: self.query(expression), expression)

    def rules(self) -> list[dict[str, object]]:
        """Return all rules once each was evaluated."""

        def evaluated() -> list[dict[str, object]]:
            found = [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
            return found if all(rule["health"] != "unknown" for rule in found) else []

        return wait(evaluated, "a first evaluation of all rules")

    def firing(self, name: str) -> list[dict[str, str]]:
        """Return the labels of those of an alert that fire."""
        return [each["metric"] for each in self.query(f'ALERTS{{alertname="{name}",alertstate="firing"}}')]


@dataclass
class Receiver:
    """The messages that a webhook received, each with its path."""

    url: str
    messages: list[tuple[str, dict]] = field(default_factory=list)

    def alerts(self, path: str) -> list[dict]:
        return [alert for at, message in self.messages if at == path for alert in message["alerts"]]

    def wait(self, path: str, alert: str) -> dict:
        """Return an alert of a name once it was received."""
        return wait(lambda: [each for each in self.alerts(path) if each["labels"]["alertname"] == alert], alert)[0]


@dataclass
class Exposition:
    """A server that answers /metrics with the result of `text`, and counts the scrapes."""

    address: str
    text: Callable[[], str]
    scrapes: int = 0

    def pass_scrapes(self, n: int) -> None:
        """Wait until it was scraped n more times."""
        until = self.scrapes + n
        wait(lambda: self.scrapes >= until, "scrapes")


@contextmanager
def prometheus(
    folder: Path, *targets: str, alertmanager: str = "127.0.0.1:9", key: str = "none"
) -> Iterator[Prometheus]:
    """Run Prometheus with the project's configuration on a free port.

    It scrapes and evaluates each second, and no alert waits before it fires.

    Parameters
    ----------
    folder : Path
        An empty one.
    targets : str
        Addresses to scrape.
    alertmanager : str
        The address that alerts are sent to.
    key : str
        What the file of the key holds.
    """
    home = folder / "monitoring"
    shutil.copytree(MONITORING, home)
    (home / "metrics_key").write_text(f"{key}\n")
    configuration = yaml.safe_load((home / "prometheus.yml").read_text("utf-8"))
    configuration["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    (home / "prometheus.yml").write_text(yaml.safe_dump(configuration), "utf-8")
    (home / "targets" / "drugpred.yml").write_text(yaml.safe_dump([{"targets": list(targets)}]), "utf-8")
    for rules in (home / "rules").glob("*.yml"):
        text = re.sub(r"(?m)^( *)interval: \S+$", r"\1interval: 1s", rules.read_text("utf-8"))
        rules.write_text(re.sub(r"(?m)^( *)for: \S+$", r"\1for: 0s", text), "utf-8")
    with configured(home / "prometheus.yml", folder) as started:
        yield started


@contextmanager
def configured(file: Path, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration on a free port, with its data and its log in a folder."""
    port = free_ports(1)[0]
    command = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, folder / "prometheus.log", f"http://127.0.0.1:{port}/-/ready"):
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def alertmanager(folder: Path, receiver: Receiver) -> Iterator[str]:
    """Run Alertmanager with the project's configuration, but without waiting before it notifies; yield its address."""
    text = (MONITORING / "alertmanager.yml").read_text("utf-8")
    assert "http://127.0.0.1:9095/" in text
    text = re.sub(r"group_wait: \S+", "group_wait: 0s", text.replace("http://127.0.0.1:9095", receiver.url))
    (folder / "alertmanager.yml").write_text(text, "utf-8")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running(command, folder / "alertmanager.log", f"http://{address}/-/ready"):
        yield address


@contextmanager
def webhook() -> Iterator[Receiver]:
    """Run a server that keeps the messages posted to it."""

    class Handler(_Quiet):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            receiver.messages.append((self.path, message))
            self.answer("")

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        receiver = Receiver(f"http://{address}")
        yield receiver


@contextmanager
def exposition(text: Callable[[], str]) -> Iterator[Exposition]:
    """Run a server that answers each request with the text that is returned then."""

    class Handler(_Quiet):
        def do_GET(self) -> None:
            self.answer(found.text())
            found.scrapes += 1

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        found = Exposition(address, text)
        yield found


class _Quiet(BaseHTTPRequestHandler):
    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass
