"""Networks computed with batch normalisation folded into the convolutions before it.

Public: other packages may use it, see the README.
"""

from __future__ import annotations

import copy
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anokit.nn import autocast, tf32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.utils.hooks import RemovableHandle

__all__ = ["Folding"]

TOLERANCE = 1e-3
"""Of the largest value. Folding changes some millionths, in untrained networks up to some 10⁻⁴."""

_MAKING = threading.RLock()
"""Held while a copy is made, since a pair counts what one thread computes. There is one for all: a
lock in a `Folding` could be neither copied nor pickled with its backbone."""


class Folding:
    """A network in evaluation mode whose batch normalisation costs nothing.

    With γ, β, μ and σ² of the normalisation and s = γ/√(σ² + ε), it and the convolution before it
    are one convolution, of weights s·w and bias s·(b − μ) + β. Padding of another width on each
    side, as models of TensorFlow have it, becomes part of it too. A copy is computed; weights,
    their names and their files stay those of the network; when they change it is made anew. What is
    written through ``tensor.data`` torch does not count, and so does not change the copy.

    Parameters
    ----------
    network
        The network. What is not frozen is for its owner to train, in ``network`` itself.
    outputs
        What is computed with a network, of images ``[1, 3, H, W]``: the copy takes the network's
        place only where these agree, which is tried out on noise.
    size
        Height and width of the images, which are all alike.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from anokit_timm.folding import Folding
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    >>> folding = Folding(network, lambda one, images: [one(images)], (8, 8))
    >>> folding.network()
    Sequential(
      (0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    """

    def __init__(
        self,
        network: nn.Module,
        outputs: Callable[[Any, Tensor], Sequence[Tensor]],
        size: tuple[int, int],
    ) -> None:
        self._network = network
        self._outputs = outputs
        self._size = size
        self._made: tuple[object, nn.Module] | None = None

    def network(self) -> nn.Module:
        """Return what is to be computed: the folded copy, or the network where that cannot be.

        While the network is in training mode, that is the network itself; so it is where it was
        made in inference mode.
        """
        state = [*self._network.parameters(), *self._network.buffers()]
        # What is written into tensors of inference mode is not counted, so a copy would be stale.
        if self._network.training or not state or any(each.is_inference() for each in state):
            return self._network
        now = [(each.device, each.data_ptr(), each._version) for each in state]
        made = self._made
        if made is None or made[0] != now:
            with _MAKING:
                made = self._made
                if made is None or made[0] != now:
                    self._made = made = now, self._made_anew(state[0].device)
        return made[1]

    def _made_anew(self, device: torch.device) -> nn.Module:
        # How it comes out must not depend on where it is asked for, since it stays.
        with torch.inference_mode(False), torch.no_grad(), tf32(False), autocast(device, False):
            return self._make()

    def _make(self) -> nn.Module:
        network = self._network
        pairs = _neighbours(network)
        if not pairs:
            return network
        noise = torch.randn(1, 3, *self._size, generator=torch.Generator().manual_seed(0))
        noise = noise.to(next(network.parameters()).device, memory_format=torch.channels_last)
        folded = copy.deepcopy(network)
        handles = [handle for pair in pairs for handle in pair.watch(network)]
        try:
            wanted = self._outputs(network, noise)
            for pair in pairs:
                if pair.follow:
                    pair.fold(folded)
            compared = zip(wanted, self._outputs(folded, noise), strict=True)
            same = all(_alike(one, other) for one, other in compared)
        except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            return network  # it looks into what was folded, or cannot take such images at all
        finally:
            for handle in handles:
                handle.remove()
        return folded if same else network


class _Pair:
    """A convolution and a normalisation that stands next in the network, used next or not."""

    def __init__(self, conv: str, norm: str) -> None:
        self.conv, self.norm = conv, norm
        self._last: Tensor | None = None
        self._sides: set[tuple[int, int]] = set()
        self._made = self._taken = self._met = 0

    def watch(self, network: nn.Module) -> list[RemovableHandle]:
        """Begin to count what the one makes and the other takes."""
        conv, norm = network.get_submodule(self.conv), network.get_submodule(self.norm)
        return [
            conv.register_forward_hook(self._makes),
            norm.register_forward_pre_hook(self._takes),
        ]

    def _makes(self, conv: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        self._made += 1
        self._sides.add((given[0].shape[-2], given[0].shape[-1]))
        self._last = output

    def _takes(self, norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._taken += 1
        self._met += given[0] is self._last

    @property
    def follow(self) -> bool:
        """Whether the normalisation took all that the convolution made, and nothing else."""
        return 0 < self._made == self._taken == self._met

    def fold(self, network: nn.Module) -> None:
        """Make both one convolution and what came after them."""
        conv: Any = network.get_submodule(self.conv)
        norm: Any = network.get_submodule(self.norm)
        folded = fuse_conv_bn_eval(conv, norm)
        if type(conv) is not nn.Conv2d and len(self._sides) == 1:
            folded = _padding(folded, *self._sides)
        network.set_submodule(self.conv, folded)
        network.set_submodule(self.norm, getattr(norm, "act", nn.Identity()))


def _padding(conv: Any, sides: tuple[int, int]) -> nn.Conv2d:
    """Return a convolution that pads as TensorFlow's do as one that pads both sides alike.

    Where one more is padded behind than in front, a kernel with a zero in front does the same.
    """
    from timm.layers.padding import get_same_padding

    shapes = zip(sides, conv.kernel_size, conv.stride, conv.dilation, strict=True)
    height, width = (get_same_padding(*shape) for shape in shapes)
    down, right = height % 2, width % 2
    if (down and conv.dilation[0] > 1) or (right and conv.dilation[1] > 1):
        return conv
    kernel = conv.kernel_size[0] + down, conv.kernel_size[1] + right
    behind = height // 2 + down, width // 2 + right
    made = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        kernel,
        conv.stride,
        behind,
        conv.dilation,
        conv.groups,
        device="meta",  # where no weights are drawn that nobody needs
    )
    made.weight = nn.Parameter(functional.pad(conv.weight, (right, 0, down, 0)))
    made.bias = conv.bias
    return made.requires_grad_(False).eval()


def _neighbours(network: nn.Module) -> list[_Pair]:
    """Return all pairs of a network."""
    from timm.layers.conv2d_same import Conv2dSame
    from timm.layers.norm_act import BatchNormAct2d

    # By type: some of others change their weights before they use them, or do more than normalise.
    convs, norms = (nn.Conv2d, Conv2dSame), (nn.BatchNorm2d, BatchNormAct2d)
    found = [(name, each) for name, each in network.named_modules() if type(each) in convs + norms]
    return [
        _Pair(name, after)
        for (name, conv), (after, norm) in pairwise(found)
        if type(conv) in convs and isinstance(norm, norms) and norm.running_mean is not None
    ]


def _alike(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are the same but for rounding."""
    return not one.numel() or bool((one - other).abs().max() <= TOLERANCE * one.abs().max())
