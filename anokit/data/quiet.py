"""Decoders' own warnings and log lines, kept back."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

_lock = Lock()
_inside = 0
_restore = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the decoders' own warnings and log lines back: unreadable files are told as notices.

    Python's warning filters belong to the process. So the first thread that enters sets them, and
    the last one that leaves restores them.

    Examples
    --------
    >>> import warnings
    >>> from anokit.data import quiet
    >>> with quiet():
    ...     warnings.warn("the decoder saw something odd")
    """
    global _inside
    with _lock:
        if _inside == 0:
            _restore.enter_context(_silence())
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _restore.close()


@contextmanager
def _silence() -> Iterator[None]:
    log = logging.getLogger("tifffile")
    before = log.disabled
    log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before
