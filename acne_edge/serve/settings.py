"""What a server allows, and what it is called."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PORT = 8642


@dataclass(frozen=True)
class Settings:
    """Limits, names and the token of one server."""

    token: str | None = field(default_factory=lambda: secrets.token_urlsafe(24))  # None: nobody is asked for one
    names: frozenset[str] = frozenset(("localhost",))  # under which the server may be called, besides IP addresses; lower case
    max_bytes: int = 32_000_000  # of one photograph
    places: int = 64  # requests for predictions that are taken in at once: running, and waiting
    workers: int = 0  # threads that predict; 0: one for each processor
    timeout: float = 30.0  # seconds until a photograph must have arrived, and again until it must be predicted
    blind: bool = False  # the page shows what the model says only after the reader has counted
    secure: bool = False  # served over TLS
    network: bool = False  # others than this machine reach it


def is_loopback(host: str) -> bool:
    """Whether an address to listen at can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_names(host: str, more: tuple[str, ...] = ()) -> frozenset[str]:
    """The names that browsers may call the server by: its own, and those that its user gives."""
    names = {"localhost", host.lower(), *(name.lower() for name in more)}
    if not is_loopback(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)
