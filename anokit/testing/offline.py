"""A place without a network: whoever asks for one is noted and refused."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from anokit.testing.check import expect

__all__ = ["asks_nothing", "offline"]


@contextmanager
def offline() -> Iterator[list[str]]:
    """Refuse every connection and look-up of a host; yields the list of what was tried.

    Whoever catches the refusal and goes on is in the list all the same. Sockets of this machine
    alone (``AF_UNIX``) work.
    """
    tried: list[str] = []
    connect = socket.socket.connect

    def refuse(*arguments: Any, **_: Any) -> Any:
        tried.append(str(next((a for a in arguments if not isinstance(a, socket.socket)), "?")))
        raise OSError(f"no network in a check: {tried[-1]}")

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse(address)
        connect(self, address)

    with (
        mock.patch.object(socket.socket, "connect", connect_here),
        mock.patch.object(socket, "create_connection", refuse),
        mock.patch.object(socket, "getaddrinfo", refuse),
        mock.patch.object(socket, "gethostbyname", refuse),
    ):
        yield tried


def asks_nothing(call: Callable[[], object]) -> None:
    """Make a call `offline`; raise `CheckFailed` where it asked for anything."""
    with offline() as tried:
        call()
    expect(
        not tried,
        f"asked for {', '.join(tried)}; have the user say where the data or weights lie, or make "
        "what asks for them an option, off in the example",
    )
