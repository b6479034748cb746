"""What the backbone hands to scores."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from anokit.errors import DataError
from anokit.types import Backbone
from anokit_skip.plugin import anokit_backbones

COMPONENT, _ = anokit_backbones()


@pytest.fixture
def trained(build, train):
    """Train two steps, so that running statistics are not those of initialisation."""

    def make(**options):
        backbone = build(**options)
        train(backbone, 2)
        return backbone

    return make


@torch.no_grad()
def test_provides_what_the_component_says_and_only_what_is_asked_for(trained, draw):
    backbone = trained()
    assert isinstance(backbone, Backbone)
    for asked in [COMPONENT.provides, *(frozenset({name}) for name in COMPONENT.provides)]:
        assert backbone.round_trip(draw(2), asked).filled() == asked


@torch.no_grad()
def test_shapes_ranges_and_types(trained, draw):
    trip = trained().round_trip(draw(3), COMPONENT.provides)
    assert trip.image_hat.shape == (3, 3, 32, 32)
    assert trip.features.shape == trip.features_hat.shape == (3, 8)
    assert trip.critic.shape == trip.critic_hat.shape == (3,)
    for field in trip.filled():
        assert trip.get(field).dtype == torch.float32
        assert trip.get(field).isfinite().all()
    assert ((trip.critic > 0) & (trip.critic < 1)).all()


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 3, 8])
def test_no_field_depends_on_the_batch(trained, draw, size):
    backbone, images = trained(), draw(8)
    assert not backbone.batch_dependence
    whole = backbone.round_trip(images, COMPONENT.provides)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    parts = [backbone.round_trip(images[i], COMPONENT.provides) for i in order.split(size)]
    for field in COMPONENT.provides:
        found = torch.cat([part.get(field) for part in parts])
        torch.testing.assert_close(found, whole.get(field)[order], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_published_batch_norm_depends_on_the_batch_and_keeps_its_own_statistics(trained, draw):
    backbone, images = trained(batch_norm="batch"), draw(8)
    assert "batch" in backbone.batch_dependence
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    whole = backbone.round_trip(images, COMPONENT.provides)
    halves = backbone.round_trip(images[:4], COMPONENT.provides)
    for field in ("image_hat", "features", "critic_hat"):
        assert not torch.allclose(halves.get(field), whole.get(field)[:4], rtol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert not any(module.training for module in backbone.modules())


@torch.no_grad()
def test_reconstruction_alone_runs_no_discriminator_and_features_alone_no_generator(trained, draw):
    backbone = trained()
    ran = set()
    for name in ("generator", "discriminator"):
        getattr(backbone, name).register_forward_hook(lambda *_, name=name: ran.add(name))
    backbone.round_trip(draw(1), frozenset({"image", "image_hat"}))
    assert ran == {"generator"}
    ran.clear()
    backbone.round_trip(draw(1), frozenset({"features", "critic"}))
    assert ran == {"discriminator"}
    ran.clear()
    backbone.round_trip(draw(1), frozenset({"image"}))
    assert not ran


@torch.no_grad()
def test_scoring_does_not_change_images(trained, draw):
    images = draw(2)
    trained().round_trip(images, COMPONENT.provides)
    assert torch.equal(images, draw(2))


@torch.no_grad()
def test_weights_survive_a_file(trained, build, draw, tmp_path):
    backbone, other = trained(), build(seed=1)
    save_file(backbone.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    needs = COMPONENT.provides
    one = backbone.round_trip(draw(2), needs)
    two = other.eval().round_trip(draw(2), needs)
    assert all(torch.equal(one.get(field), two.get(field)) for field in needs)


@pytest.mark.parametrize("shape", [{"channels": 1}, {"size": 64}])
def test_other_images_are_refused(build, draw, shape):
    with pytest.raises(DataError, match=r"built for images 3×32×32, got a batch \[1, "):
        build().round_trip(draw(1, **shape), frozenset({"image_hat"}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_gpu_is_channels_last_and_scores_agree_with_the_cpu(build, draw):
    from anokit.types import Batch

    backbone = build().cuda()
    (phase,) = backbone.phases()
    phase.optimisers()
    generator = torch.Generator("cuda").manual_seed(0)
    phase.step(Batch(draw(4).cuda(), torch.arange(4), 0, 0.0, generator))
    assert backbone.generator.bottleneck.weight.is_contiguous(memory_format=torch.channels_last)
    backbone.eval()
    with torch.no_grad():
        on_gpu = backbone.round_trip(draw(2).cuda(), COMPONENT.provides)
        on_cpu = backbone.cpu().round_trip(draw(2), COMPONENT.provides)
    for field in COMPONENT.provides:
        torch.testing.assert_close(on_gpu.get(field).cpu(), on_cpu.get(field), rtol=1e-2, atol=1e-3)
