"""Guard what is not a component's to change: what it was given, and the state of the process.

What it was given is compared by the version that every tensor counts its writes with, which costs
nothing. Where there are few images (`closely`), and for a tensor of inference mode, which has no
version, it is compared by value too: writes through ``.data`` or NumPy are not counted. The state
of the process is restored after every call, and whoever changed it is told of, once.

Torch is imported by who calls: describing commands import this package too.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from anokit.registry.blame import PluginFault, blame, place_of, who
from anokit.registry.entries import Entry

if TYPE_CHECKING:
    from torch import Tensor

MT19937_BYTES = 624 * 4 + 4
"""Of the words and the place that `numpy.random.MT19937` lays down one after the other."""

NOTHING: Mapping[str, Tensor] = {}

Draws = Literal["told", "restored", "left"]
"""What becomes of the global random generators where a component draws from them: put back and told
of, put back alone, or left as they are, for others may go on from there."""

Teller = Callable[[str], None]

_teller: ContextVar[Teller | None] = ContextVar("teller", default=None)


_close: ContextVar[bool] = ContextVar("close", default=False)


@contextmanager
def closely() -> Iterator[None]:
    """Compare what components are given by value, too: a copy of all of it for every call."""
    token = _close.set(True)
    try:
        yield
    finally:
        _close.reset(token)


@contextmanager
def telling(tell: Teller) -> Iterator[None]:
    """Have ``tell`` called with each sentence on what components changed; none is told twice."""
    told: set[str] = set()

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            tell(text)

    token = _teller.set(once)
    try:
        yield
    finally:
        _teller.reset(token)


def tell(text: str) -> None:
    """Tell what a component did that is mended already: to `telling`, or as a Python warning."""
    teller = _teller.get()
    if teller is None:
        warnings.warn(text, stacklevel=2)
    else:
        teller(text)


class Part(NamedTuple):
    """One part of the state of a process."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    equal: Callable[[Any, Any], bool] = lambda a, b: bool(a == b)


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # somebody removed it
        return ""


def _go_back(folder: str) -> None:
    if folder:
        os.chdir(folder)


@cache
def _settings() -> tuple[Part, ...]:
    """Return settings that change what is computed: a fraction of a microsecond each."""
    torch, np = sys.modules["torch"], sys.modules["numpy"]
    return (
        Part("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        Part("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        Part("torch's grad mode", torch.is_grad_enabled, torch._C._set_grad_enabled),
        Part(
            "torch's deterministic algorithms",
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
        ),
        Part("NumPy's handling of errors", np.geterr, lambda old: np.seterr(**old)),
        Part("the working directory", _folder, _go_back),
    )


@cache
def _generators(cuda: bool) -> tuple[Part, ...]:
    """Return the global random generators, that of CUDA where it was begun to be used."""
    torch, np = sys.modules["torch"], sys.modules["numpy"]
    found = [
        Part("torch's random generator", torch.get_rng_state, torch.set_rng_state, torch.equal),
        Part("NumPy's random generator", lambda: _numpys_state(np), np.random.set_state, _is_same),
        Part("Python's random generator", random.getstate, random.setstate),
    ]
    if cuda:
        found.append(
            Part(
                "CUDA's random generator",
                torch.cuda.get_rng_state,
                torch.cuda.set_rng_state,
                torch.equal,
            )
        )
    return tuple(found)


_numpy_seen: list[tuple[bytes, Any]] = []
"""The last state of NumPy's generator that was read, behind the bytes that it lay in."""


def _numpys_state(np: Any) -> Any:
    """Return the state of NumPy's global generator: the same object while nothing was drawn.

    NumPy copies it number by number, which takes as long as a small score; its bytes take nothing.
    """
    generator = np.random.get_bit_generator()
    if type(generator).__name__ != "MT19937":
        return np.random.get_state()
    held = ctypes.string_at(generator.ctypes.state_address, MT19937_BYTES)
    if not (_numpy_seen and _numpy_seen[0][0] == held):
        _numpy_seen[:] = [(held, np.random.get_state())]
    return _numpy_seen[0][1]


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (one[2:] == other[2:] and bool((one[1] == other[1]).all()))


@contextmanager
def guarded(
    entry: Entry,
    doing: str,
    given: Mapping[str, Tensor] = NOTHING,
    *,
    at: Any = None,
    draws: Draws = "told",
    generators: bool = True,
) -> Iterator[None]:
    """Run a component's code: blamed, its inputs unwritten, the state of the process as before.

    Parameters
    ----------
    given
        Tensors that it may read alone, by the name that the component knows them by.
    at
        What is called, for the line that is told.
    draws, generators
        What becomes of random generators, and whether they are looked at at all.

    Raises
    ------
    PluginFault
        Where the code raises, or wrote into what it was given.
    """
    parts = _settings()
    if generators:
        parts += _generators(sys.modules["torch"].cuda.is_initialized())
    before = [part.read() for part in parts]
    unwritten = Unwritten(given)
    try:
        with blame(entry, doing):
            yield
    finally:
        changed = _restore(parts, before, draws)
    if changed:
        tell(_changed(entry, doing, changed, at, draws))
    unwritten.check(entry, doing, at)


def _restore(parts: Sequence[Part], before: list[Any], draws: Draws) -> list[str]:
    """Put the state of the process back; return the names of what is to be told of."""
    changed = []
    for part, old in zip(parts, before, strict=True):
        if part.equal(part.read(), old):
            continue
        drawn = part.name.endswith("generator")
        if not (drawn and draws == "left"):
            part.write(old)
        if not (drawn and draws == "restored"):
            changed.append(part.name)
    return changed


def _changed(entry: Entry, doing: str, changed: list[str], at: Any, draws: Draws) -> str:
    where = place_of(at)
    text = f"{who(entry)} changed {' and '.join(changed)} while {doing}"
    text += f" ({where})" if where else ""
    if draws == "left" and all(name.endswith("generator") for name in changed):
        return (
            f"{text}, which no checkpoint holds: another run, or a resumed one, ends with other "
            "weights; draw from batch.generator"
        )
    return f"{text}; it was put back, and a plugin leaves it alone"


class Unwritten:
    """Tensors that a component was given to read, as they were before."""

    def __init__(self, given: Mapping[str, Tensor]) -> None:
        close = _close.get()
        self.known = [
            (
                name,
                value,
                None if value.is_inference() else value._version,
                value.clone() if close or value.is_inference() else None,
            )
            for name, value in given.items()
        ]

    def changed(self) -> list[str]:
        """Return the names of those that were written into."""
        return [
            name
            for name, value, version, copy in self.known
            if (version is not None and value._version != version)
            or (copy is not None and not bool(((value == copy) | (value != value)).all()))
        ]

    def check(self, entry: Entry, doing: str, at: Any = None) -> None:
        """Raise `PluginFault` where one was written into."""
        if names := self.changed():
            where = place_of(at)
            raise PluginFault(
                f"{who(entry)} wrote into {', '.join(names)}, which it was given to read, while "
                f"{doing}{f' ({where})' if where else ''}; others read the same: "
                "write into a clone()"
            )
