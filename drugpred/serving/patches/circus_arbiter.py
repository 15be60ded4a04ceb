"""Starts workers and replaces those that ended, in place of circus' arbiter.

circus' arbiter checks for ended workers every 10 seconds, restarts a worker that always fails without end, refuses a
signal while it runs a command, and logs a traceback at each check during a reload. In a container BentoML replaces no
worker.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from bentoml._internal.utils import circus

from drugpred.errors import DrugpredError
from drugpred.serving.patches import applied, replace
from drugpred.serving.supervision import READY, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from circus.watcher import Watcher

logger = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 1.0  # time between checks for ended workers
_MAX_FAILURES: Final = 3  # workers that end in a row before they are ready
_BUSY_SECONDS: Final = 0.1  # time before a command is retried that came during another one
_PAUSE_SECONDS: Final = 60.0  # time before another worker is started, while others serve

_HTTP: Final = "_bento_api_server"
_SERVICE: Final = "service"
_FILES: Final = {"--ssl-certfile": "certificate", "--ssl-keyfile": "key", "--ssl-ca-certs": "ca"}


class ServingAddress(NamedTuple):
    """Address, TLS files and number of workers of `bentoml serve`."""

    host: str
    port: int
    workers: int
    tls: dict[str, Path]  # for HTTP: certificate, key and ca


def apply() -> None:
    """Make BentoML start workers with `Supervisor`."""
    replace(circus, "Arbiter", Supervisor)


def _prepare_nothing(_: ServingAddress) -> Mapping[str, str]:
    return {}


class Supervisor(circus.Arbiter):
    """BentoML's arbiter, which replaces workers at once and gives up on those that cannot start.

    Parameters
    ----------
    watchers : list of Watcher
    """

    _prepare: ClassVar[Callable[[ServingAddress], Mapping[str, str]]] = staticmethod(_prepare_nothing)

    @classmethod
    def before_start(cls, prepare: Callable[[ServingAddress], Mapping[str, str]]) -> None:
        """Set the function to call before the first worker starts.

        It returns environment variables for the workers, or raises DrugpredError if the service cannot be served at
        that address.
        """
        cls._prepare = staticmethod(prepare)

    def __init__(self, watchers: list[Watcher], **options: Any) -> None:  # noqa: ANN401 - circus'
        super().__init__(watchers, **{**options, "check_delay": _CHECK_SECONDS})
        self._ready: set[int] = set()
        self._reasons: dict[int, str] = {}
        self._failures = 0
        self._failed: str | None = None

    def start(self, cb: Callable[[Any], Any] | None = None) -> None:
        """Run workers until the server ends.

        Raises
        ------
        SystemExit
            The service cannot be served, or no worker starts.
        """
        try:
            self._configure()
            super().start(cb)
        except DrugpredError as error:
            raise SystemExit(f"error: {error}") from None
        except RuntimeError:  # no worker is left
            if self._failed is None:
                raise
            raise SystemExit(f"error: {self._failed}") from None
        finally:
            self.exit_stack.close()

    def manage_watchers(self) -> Any:  # noqa: ANN401 - circus'
        """Replace workers that ended, unless a command such as reload is doing that."""
        return None if self._exclusive_running_command else super().manage_watchers()

    def reload(self, graceful: bool = True, sequential: bool = False) -> Any:  # noqa: ANN401 - circus'
        """Replace all workers."""
        return self._when_free(lambda: super(Supervisor, self).reload(graceful, sequential))

    def stop(self) -> Any:  # noqa: ANN401 - circus'
        """End the workers, then the server."""
        return self._when_free(super().stop)

    def _when_free(self, command: Callable[[], Any]) -> Any:  # noqa: ANN401 - circus'
        """Run a command when no other is running: circus would refuse it, and a signal would be lost."""
        if self._stopping:
            return None
        if self._exclusive_running_command is None:
            return command()
        self.loop.call_later(_BUSY_SECONDS, self._when_free, command)
        return None

    def _configure(self) -> None:
        (service,) = (each for each in self.watchers if each.name == _SERVICE)
        http = self.sockets[_HTTP]
        tls = {}
        for flag, name in _FILES.items():
            if flag in service.args:
                at = service.args.index(flag) + 1
                tls[name] = Path(service.args[at]).absolute()  # workers run in another folder
                service.args[at] = str(tls[name])
        variables = type(self)._prepare(ServingAddress(http.host, http.port, service.numprocesses, tls))
        if files := applied("prometheus_files"):
            folder = files.folder_of(f"{http.host}-{http.port}", Path(service.env["PROMETHEUS_MULTIPROC_DIR"]))
            files.make(folder, range(1, service.numprocesses + 1))
            service.env["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        self._messages, self._workers_end = socket.socketpair()
        self._messages.setblocking(False)
        self._workers_end.set_inheritable(True)
        service.env.update({**variables, VARIABLE: str(self._workers_end.fileno())})
        service.hooks["after_reap"] = self._count_exit
        service.respawn = True

    def _count_exit(self, *, watcher: Watcher, process_pid: int, exit_code: int, **_: object) -> bool:
        self._read_messages()
        reason = self._reasons.pop(process_pid, f"exit code {exit_code}; see the lines above")
        if process_pid in self._ready:
            self._ready.discard(process_pid)
        elif not (self._stopping or watcher.is_stopping()):
            self._failures += 1
        if self._failures == _MAX_FAILURES:
            self._failures = 0
            many = f"{_MAX_FAILURES} workers ended one after the other before they were ready"
            self._give_up(watcher, f"{many}: {reason}")
        return True

    def _give_up(self, watcher: Watcher, reason: str) -> None:
        if self._ready.isdisjoint(watcher.processes):
            self._failed = reason
            watcher.numprocesses = 0  # ends the arbiter
            return
        logger.error("%s; the others continue, and another is started in %.0f seconds", reason, _PAUSE_SECONDS)
        watcher.numprocesses -= 1

        def again() -> None:
            watcher.numprocesses += 1

        self.loop.call_later(_PAUSE_SECONDS, again)

    def _read_messages(self) -> None:
        """Note which workers are ready and why others ended, as they report through `supervision`."""
        received = b""
        with suppress(BlockingIOError):
            while True:
                received += self._messages.recv(1 << 16)
        for line in received.decode().splitlines():
            pid, _, message = line.partition(" ")
            if message == READY:
                self._ready.add(int(pid))
                self._failures = 0
            else:
                self._reasons[int(pid)] = message
