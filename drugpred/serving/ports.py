"""Checks whether an address is free, and finds the processes that use it."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Final

import psutil

from drugpred.errors import ConfigurationError
from drugpred.serving.supervision import VARIABLE

_ALL: Final = ("0.0.0.0", "::")  # noqa: S104  # nosec B104 - in gRPC both listen on IPv4 and IPv6


def address(host: str, port: int) -> str:
    """Return a host and a port as `host:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def probe(host: str, port: int, advice: str, *, both: bool = False) -> None:
    """Check that an address is free.

    Parameters
    ----------
    host : str
        An IP address.
    port : int
    advice : str
        Advice on choosing another port, for the error message.
    both : bool, optional
        Whether the address `0.0.0.0` or `::` means all of IPv4 and IPv6.

    Raises
    ------
    ConfigurationError
        The address is in use, belongs to another machine, or is reserved.
    """
    for each in _ALL if both and host in _ALL else (host,):
        with suppress(_NoFamilyError), _socket(each) as found:
            if both and each == "::":
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(found, each, port, advice)


def reserve(host: str, port: int, advice: str) -> socket.socket:
    """Return a socket that reserves an address; workers share it through SO_REUSEPORT.

    Parameters
    ----------
    host : str
        An IP address.
    port : int
        0 for any free port.
    advice : str
        Advice on choosing another port, for the error message.

    Raises
    ------
    ConfigurationError
        As in `probe`.
    """
    if port:
        probe(host, port, advice, both=True)  # a socket with SO_REUSEPORT would not notice another one
    reserved = _socket(host)
    for option in (socket.SO_REUSEPORT, socket.SO_REUSEADDR):
        reserved.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        _bind(reserved, host, port, advice)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # nor reusable while no worker listens
    except BaseException:
        reserved.close()
        raise
    return reserved


class _NoFamilyError(Exception):
    """The machine has no IPv6."""


def _socket(host: str) -> socket.socket:
    try:
        return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise _NoFamilyError from error


def _bind(found: socket.socket, host: str, port: int, advice: str) -> None:
    try:
        found.bind((host, port))
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT or (error.errno == errno.EADDRNOTAVAIL and host == "::"):
            raise _NoFamilyError from error
        if error.errno != errno.EADDRINUSE:
            raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}; {advice}") from None
        raise ConfigurationError(f"port {port} is in use{_by(port)}; {advice}") from None


def _by(port: int) -> str:
    """Return the processes that use a port, as far as this user may see them."""
    holders = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and any(
                each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in process.net_connections("tcp")
            ):
                holders.append(process)
    if not holders:
        return ""
    if all(map(_is_orphan, holders)):
        pids = " ".join(str(each.pid) for each in holders)
        return f" by workers whose server is gone (end them: kill {pids})"
    return f" by {', '.join(f'process {each.pid} ({each.name()})' for each in holders)}"


def _is_orphan(process: psutil.Process) -> bool:
    """Return whether a process is a worker whose server is gone."""
    with suppress(psutil.Error):
        parent = process.parent()
        return VARIABLE in process.environ() and (parent is None or "serve" not in parent.cmdline())
    return False
