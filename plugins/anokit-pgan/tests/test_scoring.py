"""Round trips of finished networks, calibration, samples, warnings and refused shapes."""

import pytest
import torch

from anokit.errors import DataError, RecipeError
from anokit.plugin import resolve_fields
from anokit.types import ImageSpec, WeightedLoss
from anokit_pgan.backbone import ProgressiveGAN
from anokit_pgan.plugin import PganOptions, anokit_backbones

(COMPONENT,) = anokit_backbones()
FIELDS = resolve_fields(COMPONENT.provides, PganOptions())
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.fixture
def finished(make, phase, train):
    """Return a function that builds a backbone, trains two steps, calibrates it and sets eval."""

    def build(**options):
        backbone = make(**options)
        last = phase(backbone, "16")
        last.optimisers()
        train(last, steps=2)
        for calibration in backbone.phases()[5:]:
            assert calibration.optimisers() == {}
            train(calibration, steps=3)
        return backbone.eval()

    return build


@torch.no_grad()
def trip(backbone, images, needs=FIELDS):
    return backbone.round_trip(images, needs)


def test_provides_what_it_declares(finished, images):
    result = trip(finished(), images)
    assert result.filled() == FIELDS
    assert {result.get(name).dtype for name in FIELDS} == {torch.float32}
    assert result.features.shape == (12, 4 * 4 * 4)
    assert result.critic.shape == (12,)
    assert torch.equal(result.image, images)


@pytest.mark.parametrize("batches", [[1] * 12, [5, 7], [4, 4, 4], [2, 10]])
def test_no_field_depends_on_the_batch(batches, finished, images):
    backbone = finished()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    whole = trip(backbone, images)
    parts = [trip(backbone, part) for part in images[order].split(batches)]
    for name in FIELDS:
        joined = torch.cat([part.get(name) for part in parts])
        torch.testing.assert_close(joined, whole.get(name)[order], **CLOSE)
    assert not backbone.batch_dependence


def test_published_stddev_depends_on_the_batch_and_says_so(finished, images):
    backbone = finished(minibatch_stddev="batch")
    whole, alone = trip(backbone, images), trip(backbone, images[:1])
    assert not torch.allclose(whole.latent[:1], alone.latent, **CLOSE)
    assert "minibatch stddev" in backbone.batch_dependence


@pytest.mark.parametrize(
    ("needs", "generated", "encoded", "judged"),
    [
        ({"latent"}, 0, 1, 0),
        ({"image", "latent", "image_hat"}, 1, 1, 0),
        ({"features", "critic"}, 0, 0, 1),
        (FIELDS, 1, 2, 2),
    ],
)
def test_computes_only_what_is_needed(needs, generated, encoded, judged, finished, images):
    backbone = finished()
    calls = dict.fromkeys(
        ("generator_ema.module", "encoder.from_rgb.16", "discriminator.from_rgb.16"), 0
    )

    def counter(name):
        def hook(*_):
            calls[name] += 1

        return hook

    for name in calls:
        backbone.get_submodule(name).register_forward_hook(counter(name))
    assert trip(backbone, images, frozenset(needs)).filled() == needs
    assert list(calls.values()) == [generated, encoded, judged]


def test_uses_the_averaged_generator_and_the_raw_encoder(finished, images):
    backbone = finished()
    result = trip(backbone, images)
    torch.testing.assert_close(result.latent, backbone.encoder(images))
    torch.testing.assert_close(result.image_hat, backbone.generator_ema(result.latent))
    assert not torch.allclose(result.image_hat, backbone.generator(result.latent))


@pytest.mark.parametrize("bias", [True, False])
def test_without_biases_the_latent_grows_with_its_image(bias, make, images):
    # The minibatch standard deviation, frozen at 0 before any calibration, adds nothing here.
    backbone = make(encoder_bias=bias)
    with torch.no_grad():
        for name, parameter in backbone.encoder.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(0.3)
        one, half = backbone.encoder(images), backbone.encoder(images / 2)
    assert torch.allclose(one, 2 * half, rtol=1e-4, atol=1e-6) is not bias


def test_gradients_can_reach_a_latent_under_no_grad(finished, images):
    """What a latent search does: nothing is made in inference mode."""
    latent = trip(finished(), images).latent
    with torch.enable_grad():
        latent.requires_grad_().sum().backward()
    assert latent.grad is not None


def test_calibration_is_the_mean_over_its_images_and_starts_anew(make, train):
    backbone = make()
    calibration = backbone.phases()[-1]
    backbone.encoder.stddev.accumulate(torch.randn(8, 4, 4, 4))
    calibration.optimisers()
    weights = {name: p.clone() for name, p in backbone.named_parameters()}
    metrics = train(calibration, steps=3)
    assert backbone.encoder.stddev.count == 24
    assert metrics["stddev_encoder"] == backbone.encoder.stddev.mean > 0
    assert all(torch.equal(weights[name], p) for name, p in backbone.named_parameters())


def test_state_dict_brings_the_same_trip_back(make, finished, images):
    backbone, other = finished(), make(seed=9).eval()
    other.load_state_dict(backbone.state_dict())
    before, after = trip(backbone, images), trip(other, images)
    assert all(torch.equal(before.get(name), after.get(name)) for name in FIELDS)


@pytest.mark.parametrize("name", ["4", "fade 8", "16"])
def test_samples_are_full_size_in_range_and_repeatable(name, make, phase, train):
    backbone = make()
    chosen = phase(backbone, name)
    chosen.optimisers()
    train(chosen)
    first, second = (backbone.samples(3, torch.Generator().manual_seed(2)) for _ in range(2))
    assert first.shape == (3, 1, 16, 16)
    assert first.abs().max() <= 1
    assert torch.equal(first, second)


def test_warns_of_a_runaway_critic_only(make):
    backbone = make(wgan_target=2.0)
    assert backbone.warnings({"critic_real": 3.0, "critic_fake": -20.0}) == []
    (sentence,) = backbone.warnings({"critic_real": 3.0, "critic_fake": -1e4})
    assert "generated images is -1e+04" in sentence
    assert backbone.warnings({"stddev_encoder": 1.0}) == []


@pytest.mark.parametrize(
    ("spec", "size"),
    [((1, 8, 16), 16), ((3, 28, 28), 32), ((3, 4, 4), 8), ((3, 96, 90), 128), ((1, 2, 2), 8)],
)
def test_unfit_shapes_are_refused_with_advice(spec, size):
    loss = WeightedLoss("di", 1.0, lambda trip: trip.image, frozenset({"image"}), "latent")
    with pytest.raises(DataError, match=rf"size = {size}$"):
        ProgressiveGAN(PganOptions(), ImageSpec(*spec), [loss])


def test_images_of_another_shape_are_refused(make):
    with pytest.raises(DataError, match=r"built for images 1×16×16, got a batch \[2, 1, 8, 8\]"):
        make().round_trip(torch.zeros(2, 1, 8, 8), FIELDS)


def test_an_encoder_loss_is_needed():
    with pytest.raises(RecipeError, match="expected at least one"):
        ProgressiveGAN(PganOptions(), ImageSpec(1, 16, 16), [])


def test_component_example_builds():
    options = COMPONENT.options.model_validate(COMPONENT.example)
    loss = WeightedLoss("di", 1.0, lambda trip: trip.image, frozenset({"image"}), "latent")
    assert len(COMPONENT.load()(options, ImageSpec(3, 8, 8), [loss]).phases()) == 4
