"""Ctrl-C and SIGTERM as a polite request: the step ends, a checkpoint is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody asked the run to stop.

    Only while somebody heeds the request is a signal a request; at other times it interrupts.
    """

    def __init__(self) -> None:
        self.requested = False
        self.heeded = False

    @contextmanager
    def heed(self) -> Iterator[None]:
        """Promise to look at ``requested`` again and again in the body."""
        self.heeded = True
        try:
            yield
        finally:
            self.heeded = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Collect the first SIGINT or SIGTERM in a `StopRequest`; a second one interrupts at once.

    While nobody heeds the request the first one interrupts too, SIGTERM like Ctrl-C.

    Outside the main thread, where Python allows no handlers, the request is never made.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested or not stop.heeded:
            raise KeyboardInterrupt
        stop.requested = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
