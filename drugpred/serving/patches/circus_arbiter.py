"""What starts the workers, and starts them again: circus' arbiter, which ends where no worker can start."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bentoml._internal.utils import circus

from drugpred.errors import DrugpredError
from drugpred.serving.supervision import READY, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from circus.watcher import Watcher

__all__ = ["ServingAddress", "Supervisor"]

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
"""How often it is looked for workers that ended."""

_TRIES: Final = 3
"""Workers that end one after the other before they are ready."""

_PATIENCE_SECONDS: Final = 0.1
"""After which a command is tried again that came while another one ran."""

_PAUSE_SECONDS: Final = 60.0
"""After which another worker is tried, while others serve."""

_HTTP: Final = "_bento_api_server"
_SERVICE: Final = "service"
_FILES: Final = {"--ssl-certfile": "certificate", "--ssl-keyfile": "key", "--ssl-ca-certs": "ca"}


class ServingAddress(NamedTuple):
    """Where `bentoml serve` serves, and with how many workers."""

    host: str
    port: int
    workers: int
    metrics: Path
    """The folder of their metrics."""
    tls: dict[str, Path]
    """Of HTTP: certificate, key and ca."""


class Supervisor(circus.Arbiter):
    """BentoML's arbiter.

    Parameters
    ----------
    prepare : callable
        Is given the place, raises DrugpredError where it cannot be served there, and returns environment variables of
        the workers.
    watchers : list of Watcher
    """

    def __init__(
        self,
        prepare: Callable[[ServingAddress], Mapping[str, str]],
        watchers: list[Watcher],
        **options: Any,  # noqa: ANN401 - circus'
    ) -> None:
        super().__init__(watchers, **{**options, "check_delay": _LOOK_SECONDS})
        self._prepare = prepare
        self._ready: set[int] = set()
        self._reasons: dict[int, str] = {}
        self._failures = 0
        self._failed: str | None = None

    def start(self, cb: Callable[[Any], Any] | None = None) -> None:
        """Serve until the end of the server.

        Raises
        ------
        SystemExit
            It cannot be served, or no worker starts.
        """
        try:
            self._settle()
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
        """Replace workers that ended, unless that is being done by a command such as reload."""
        return None if self._exclusive_running_command else super().manage_watchers()

    def reload(self, graceful: bool = True, sequential: bool = False) -> Any:  # noqa: ANN401 - circus'
        """Replace all workers."""
        return self._when_free(lambda: super(Supervisor, self).reload(graceful, sequential))

    def stop(self) -> Any:  # noqa: ANN401 - circus'
        """End the workers, then the server."""
        return self._when_free(super().stop)

    def _when_free(self, command: Callable[[], Any]) -> Any:  # noqa: ANN401 - circus'
        """Run a command when no other one runs: circus refuses it until then, and a signal would be lost."""
        if self._stopping:
            return None
        if self._exclusive_running_command is None:
            return command()
        self.loop.call_later(_PATIENCE_SECONDS, self._when_free, command)
        return None

    def _settle(self) -> None:
        (service,) = (each for each in self.watchers if each.name == _SERVICE)
        http = self.sockets[_HTTP]
        tls = {}
        for flag, name in _FILES.items():
            if flag in service.args:
                at = service.args.index(flag) + 1
                tls[name] = Path(service.args[at]).absolute()  # workers run in another folder
                service.args[at] = str(tls[name])
        metrics = Path(service.env["PROMETHEUS_MULTIPROC_DIR"])
        variables = self._prepare(ServingAddress(http.host, http.port, service.numprocesses, metrics, tls))
        self._here, self._theirs = socket.socketpair()
        self._here.setblocking(False)
        self._theirs.set_inheritable(True)
        service.env.update({**variables, VARIABLE: str(self._theirs.fileno())})
        service.hooks["after_reap"] = self._reaped

    def _reaped(self, *, watcher: Watcher, process_pid: int, exit_code: int, **_: object) -> bool:
        self._hear()
        reason = self._reasons.pop(process_pid, f"exit code {exit_code}; the lines above say why")
        if process_pid in self._ready:
            self._ready.discard(process_pid)
        elif not (self._stopping or watcher.is_stopping()):
            self._failures += 1
        if self._failures == _TRIES:
            self._failures = 0
            self._give_up(watcher, f"{_TRIES} workers ended one after the other before they were ready: {reason}")
        return True

    def _give_up(self, watcher: Watcher, why: str) -> None:
        if self._ready.isdisjoint(watcher.processes):
            self._failed = why
            watcher.numprocesses = 0  # with which the arbiter ends
            return
        logger.error("%s; the others go on, and another is tried in %.0f seconds", why, _PAUSE_SECONDS)
        watcher.numprocesses -= 1

        def again() -> None:
            watcher.numprocesses += 1

        self.loop.call_later(_PAUSE_SECONDS, again)

    def _hear(self) -> None:
        heard = b""
        with suppress(BlockingIOError):
            while True:
                heard += self._here.recv(1 << 16)
        for line in heard.decode().splitlines():
            pid, _, what = line.partition(" ")
            if what == READY:
                self._ready.add(int(pid))
                self._failures = 0
            else:
                self._reasons[int(pid)] = what
