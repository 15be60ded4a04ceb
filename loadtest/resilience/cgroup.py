"""Control groups: limit a server's memory and processors, like a container."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path("/sys/fs/cgroup")

_PERIOD: Final = 100_000  # microseconds over which processor time is limited; the kernel's default
_TIMEOUT: Final = 5.0  # seconds for the kernel to notice that the last process of a group has ended


@dataclass(frozen=True)
class Group:
    """A control group."""

    folders: tuple[Path, ...]
    """Its folders, that of memory first."""

    def command(self, command: list[str]) -> list[str]:
        """Return a command that runs another in the group."""
        joining = "".join(f"echo $$ > {shlex.quote(str(folder / 'cgroup.procs'))} && " for folder in self.folders)
        return ["sh", "-c", f'{joining}exec "$@"', "sh", *command]

    def killed(self) -> int:
        """Return the number of processes that the kernel has killed for lack of memory in the group."""
        files = (self.folders[0] / name for name in ("memory.events", "memory.oom_control"))
        text = next(file for file in files if file.exists()).read_text(encoding="ascii")
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])


@contextmanager
def limited(megabytes: int, processors: int) -> Iterator[Group | None]:
    """Yield a new group with a limit, or None without the permission; at the end its processes have ended."""
    with ExitStack() as stack:
        limits = _limits(megabytes * 2**20, processors * _PERIOD)
        group: Group | None = Group(tuple(limits))
        try:
            for folder, files in limits.items():
                folder.mkdir()
                stack.callback(_remove, folder)
                for name, value in files.items():
                    (folder / name).write_text(value, encoding="ascii")
        except OSError:
            group = None
        yield group


def _limits(memory: int, quota: int) -> dict[Path, dict[str, str]]:
    """Return the files to write: version 2 of control groups has one folder, version 1 one for each resource."""
    name = f"resilience-{os.getpid()}"
    if (_ROOT / "cgroup.controllers").exists():
        return {_ROOT / name: {"memory.max": str(memory), "cpu.max": f"{quota} {_PERIOD}"}}
    return {
        _own_group("memory") / name: {"memory.limit_in_bytes": str(memory)},
        _own_group("cpu") / name: {"cpu.cfs_quota_us": str(quota)},
    }


def _own_group(resource: str) -> Path:
    """Return the version 1 group of this process; in a container, which does not see it, the container's."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines())
    path = next((path for _, controllers, path in lines if resource in controllers.split(",")), "/")
    folder = _ROOT / resource / path.lstrip("/")
    return folder if folder.exists() else _ROOT / resource


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
