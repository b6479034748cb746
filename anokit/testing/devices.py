"""Find tensors on the wrong device without a GPU: fake ones know their device and hold no numbers.

PyTorch's own `FakeTensorMode` runs code on tensors that have a shape, a type and a device alone. A
CPU tensor that meets one of another device is an error there as it is on a GPU. Where code asks for
a number, nothing can be told.

The other device is ``meta``, not ``cuda``: gradients cannot be computed on fake CUDA tensors where
there is no GPU, and a tensor that is made on ``cuda`` by name is on the wrong device too.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import SkipTest, mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from anokit.registry.blame import line_of
from anokit.registry.entries import Entry
from anokit.testing.check import fail
from anokit.types import RoundTrip

T = TypeVar("T")

OTHER = torch.device("meta")


OtherGenerator = type("OtherGenerator", (torch.Generator,), {"device": property(lambda _: OTHER)})
"""A random generator that says that it is on the other device."""


class Elsewhere:
    """A device that is not there. What is moved to it keeps shapes and types and loses its values.

    Parameters
    ----------
    entry
        The component whose code is run, for the line that is at fault.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self.mode.allow_meta = True
        self.unknown: list[str] = []
        """what could not be told, and why"""

    def tensor(self, value: Tensor) -> Tensor:
        """Return a tensor that is there."""
        with self.mode:
            return self.mode.from_tensor(value).to(OTHER)

    def trip(self, trip: RoundTrip) -> RoundTrip:
        """Return a round trip that is there."""
        return trip.map(self.tensor)

    def module(self, module: T) -> T:
        """Move a component there as anokit does: parameters and buffers of a module.

        Parameters stay the objects that they are, as they do on the way to a GPU, so that who holds
        them elsewhere sees them move. A tensor that is a plain attribute stays where it is. Single
        numbers of the state can still be read, as the width that it was fitted to.
        """
        if not isinstance(module, nn.Module):
            return module
        numbers = {n: v.item() for n, v in module.named_buffers() if v.numel() == 1}
        swapping = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            module.to(OTHER)
        finally:
            torch.__future__.set_swap_module_params_on_conversion(swapping)
        for name, number in numbers.items():
            owner, _, leaf = name.rpartition(".")
            there: Any = self.tensor(module.get_buffer(name))
            # What PyTorch remembers of a fake tensor whose number was asked for before.
            there.item_memo = number
            setattr(module.get_submodule(owner), leaf, there)
        return module

    def attempt(self, doing: str, call: Callable[[], T], *, gradients: bool = False) -> T | None:
        """Return what a call gives there; note it as `unknown`, and give None, if it wants numbers.

        Raises
        ------
        CheckFailed
            Where tensors of two devices meet, with the line in the component's code.
        """
        try:
            with self.mode, InPlace(), torch.set_grad_enabled(gradients), _allowed():
                return call()
        except Exception as error:
            where = line_of(self.entry, error)
            at = f" ({where})" if where else ""
            if found := _other_place(error):
                fail(
                    f"a tensor on {found} meets one on the device of the images while {doing}{at}: "
                    "make tensors with device=… of what you are given, and keep what a module "
                    "needs in buffers, which move with it"
                )
            self.unknown.append(f"{doing}{at} ({type(error).__name__})")
            return None

    def conclude(self) -> None:
        """Raise `SkipTest` where something could not be told."""
        if self.unknown:
            raise SkipTest(
                "cannot be told without a GPU, since numbers are read: " + "; ".join(self.unknown)
            )


def _dispatch(mode: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Refuse ``a += b`` across devices, as a GPU does; on fake tensors PyTorch lets it pass."""
    if func.overloadpacket is torch.ops.aten.add_ and isinstance(args[1], Tensor):
        one, other = args[0].device, args[1].device
        if one != other and args[1].ndim:
            raise RuntimeError(f"expected one device, got two devices: {one} and {other}")
    return func(*args, **(kwargs or {}))


InPlace = type("InPlace", (TorchDispatchMode,), {"__torch_dispatch__": _dispatch})
"""A mode in which sums in place are looked at."""


def _other_place(error: Exception) -> str:
    """Return the device that met the other one, where that is what an error says."""
    said = str(error)
    found = re.search(r"\b(cpu|cuda|mps|xpu)\b", said)
    about = isinstance(error, RuntimeError) and re.search(r"\bdevices?\b", said)
    return found[0] if about and found and re.search(r"\bmeta\b", said) else ""


@contextmanager
def _allowed() -> Iterator[None]:
    """Let code ask for autocast there, which changes nothing; what PyTorch warns of is its own."""
    begin = torch.amp.autocast_mode.autocast.__init__

    def begun(self: Any, device_type: str, *given: Any, **more: Any) -> None:
        begin(self, "cpu" if device_type == OTHER.type else device_type, *given, **more)

    with (
        mock.patch.object(torch.amp.autocast_mode.autocast, "__init__", begun),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
