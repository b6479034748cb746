"""Batch normalisation folded into convolutions: the same values, weights and files as without."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from anokit_timm.folding import Folding

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from anokit_timm.backbone import TimmFeatures

FEATURES = frozenset({"features"})


def normalisations(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]


def drawn(network: nn.Module) -> nn.Module:
    """Give every normalisation statistics and weights, as training does."""
    draw = torch.Generator().manual_seed(1)
    for norm in normalisations(network):
        for tensor, low, high in (
            (norm.running_mean, -0.3, 0.3),
            (norm.running_var, 0.5, 1.5),
            (norm.weight, 0.7, 1.3),
            (norm.bias, -0.3, 0.3),
        ):
            assert tensor is not None
            tensor.data.uniform_(low, high, generator=draw)
    return network.eval()


def outputs(network: Any, images: Tensor) -> list[Tensor]:
    last, maps = network.forward_intermediates(images)
    return [network.forward_head(last), *maps]


def alone(network: nn.Module, images: Tensor) -> list[Tensor]:
    return [network(images)]


@torch.no_grad()
def compared(
    folding: Folding,
    network: nn.Module,
    of: Callable[..., list[Tensor]],
    size: tuple[int, int] = (64, 64),
) -> None:
    """Compare a folded network with the network on other images than those it was tried on."""
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2)) * 2 - 1
    for one, other in zip(of(folding.network(), images), of(network, images), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize(
    ("model", "left"),
    [
        ("tf_efficientnet_lite0", 0),
        ("test_efficientnet", 0),
        ("test_resnet", 0),
        ("resnetv2_50", 17),  # those of its blocks' beginnings stand after sums
        ("densenet121", 62),  # and here after concatenations
        ("mobileone_s0", 35),  # branches without a convolution
    ],
)
def test_a_folded_network_computes_what_the_network_does(model, left):
    network = drawn(timm.create_model(model))
    folding = Folding(network, outputs, (64, 64))
    compared(folding, network, outputs)
    assert len(normalisations(folding.network())) == left < len(normalisations(network))


@pytest.mark.parametrize("size", [(64, 64), (65, 65), (62, 65), (33, 58)])
@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "tf_mobilenetv3_large_100"])
def test_padding_of_two_widths_becomes_part_of_a_convolution(model, size):
    network = drawn(timm.create_model(model))
    folding = Folding(network, outputs, size)
    compared(folding, network, outputs, size)
    assert not any(isinstance(each, Conv2dSame) for each in folding.network().modules())


@pytest.mark.parametrize("chosen", [{}, {"pooled": ("stage1",)}, {"patch_stages": (1, 2)}])
def test_what_a_backbone_computes_is_folded(build, chosen):
    network = build(**chosen).folding.network()
    assert not normalisations(nn.ModuleList([network.conv_stem, network.bn1, network.blocks[0]]))


def test_the_features_of_a_backbone_are_folded_and_its_weights_are_not(build, images):
    backbone: TimmFeatures = build()
    keys = set(timm.create_model("test_efficientnet", num_classes=0).state_dict())
    assert {f"network.{key}" for key in keys} < set(backbone.state_dict())
    assert not any("folding" in key for key in backbone.state_dict())
    assert not normalisations(backbone.folding.network())
    torch.testing.assert_close(
        backbone.round_trip(images(2), FEATURES).features,
        backbone.network(backbone.prepare(images(2))),
        rtol=1e-4,
        atol=1e-5,
    )


def test_weights_that_are_read_later_are_those_that_count(build, images):
    one, other = build(), build()
    other.load_state_dict(drawn(copy.deepcopy(one)).state_dict())
    before = one.round_trip(images(2), FEATURES).features
    wanted = other.round_trip(images(2), FEATURES).features
    assert not torch.allclose(before, wanted, rtol=1e-2)
    one.load_state_dict(other.state_dict())
    assert torch.equal(one.round_trip(images(2), FEATURES).features, wanted)


def test_weights_that_are_read_in_inference_mode_are_those_that_count(build, images):
    wanted = build()
    weights = drawn(copy.deepcopy(wanted)).state_dict()
    wanted.load_state_dict(weights)
    with torch.inference_mode():
        backbone = build()
        backbone.load_state_dict(weights)
    torch.testing.assert_close(
        backbone.round_trip(images(2), FEATURES).features,
        wanted.round_trip(images(2), FEATURES).features,
        rtol=1e-4,
        atol=1e-5,
    )


class Turned(nn.Module):
    """A convolution and a normalisation side by side, of which the second comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(self.norm(images))


class Shared(Turned):
    """What the convolution gives is used twice, and normalised once."""

    def forward(self, images: Tensor) -> Tensor:
        found = self.conv(images)
        return found + self.norm(found)


class Other(Turned):
    """The normalisation takes something of another size."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.more = nn.BatchNorm2d(6), nn.Conv2d(3, 6, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.more(self.conv(images)))


class Looking(Turned):
    """The network looks into its normalisation."""

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images)) * self.norm.weight[:, None, None]


class Scaled(nn.Conv2d):
    """A convolution that changes its weights before it uses them."""

    def forward(self, images: Tensor) -> Tensor:
        return self._conv_forward(images, self.weight / self.weight.std(), self.bias)


class Standardised(Turned):
    """A convolution of another kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = Scaled(3, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images))


@pytest.mark.parametrize("kind", [Turned, Shared, Other, Looking, Standardised])
def test_what_cannot_be_folded_is_left(kind):
    network = drawn(kind())
    folding = Folding(network, alone, (64, 64))
    assert normalisations(folding.network())
    compared(folding, network, alone)


def test_threads_that_ask_at_once_get_one_copy():
    network = drawn(timm.create_model("test_efficientnet"))
    for _ in range(5):
        folding = Folding(network, outputs, (64, 64))
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(folding.network) for _ in range(4)]
        assert len({id(one.result()) for one in asked}) == 1
        assert not normalisations(folding.network())


def test_a_network_without_weights_is_itself():
    network = nn.Sequential(nn.ReLU()).eval()
    assert Folding(network, alone, (8, 8)).network() is network


def test_a_network_in_training_is_itself():
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))
    folding = Folding(network, alone, (8, 8))
    assert folding.network() is network
    network.eval()
    assert folding.network() is not network


@pytest.mark.parametrize(
    "where",
    [
        torch.inference_mode,
        partial(torch.autocast, "cpu", torch.bfloat16),
    ],
)
def test_the_copy_is_the_same_wherever_it_was_first_asked_for(where):
    network = drawn(timm.create_model("test_efficientnet"))
    first, second = (Folding(network, outputs, (64, 64)) for _ in range(2))
    with where():
        made = first.network()
    assert not any(each.is_inference() for each in made.parameters())
    wanted = second.network().state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in made.state_dict().items())
    assert len(made.state_dict()) == len(wanted)


@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "test_resnet"])
def test_the_copy_is_made_without_drawing_from_the_generator_of_all(model):
    network = drawn(timm.create_model(model))
    before = torch.get_rng_state()
    assert Folding(network, outputs, (65, 65)).network() is not network
    assert torch.equal(torch.get_rng_state(), before)
