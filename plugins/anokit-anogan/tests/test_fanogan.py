"""The two phases of f-AnoGAN."""

from __future__ import annotations

import pytest
import torch

from anokit.types import Batch, WeightedLoss
from anokit_anogan.residual_networks import ResidualBlock, batch_norm


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module, before):
    return any(not torch.equal(value, before[name]) for name, value in module.state_dict().items())


def ziz(trip):
    return (trip.latent - trip.latent_hat).square().mean()


LATENT = WeightedLoss("ziz", 2.0, ziz, frozenset({"latent", "latent_hat"}), "latent")


def test_the_generator_steps_once_for_several_steps_of_the_critic(build, train):
    backbone = build("f-anogan", critic_steps=3)
    gan, _ = backbone.phases()
    assert (gan.images, gan.epochs) == (20, None)
    metrics = train(backbone, gan, 7)
    assert ["loss_g" in step for step in metrics] == [False, False, True] * 2 + [False]
    assert all({"loss_d", "critic_real", "critic_fake", "penalty"} <= set(m) for m in metrics)


def test_the_critic_learns_and_its_loss_is_the_published_one(build, draw):
    backbone = build("f-anogan", learning_rate=1e-3, flip=False, critic_steps=1000)
    gan, _ = backbone.phases()
    gan.optimisers()
    random = torch.Generator().manual_seed(0)
    bright = draw(4).abs()
    found = [gan.step(Batch(bright, torch.arange(4), i, 0.0, random)) for i in range(12)]
    for m in found:
        total = m["critic_fake"] - m["critic_real"] + 10 * m["penalty"]
        torch.testing.assert_close(m["loss_d"], total)
    assert found[-1]["loss_d"] < found[0]["loss_d"]


def test_the_encoder_phase_moves_the_encoder_alone_even_if_all_are_set_to_train(build, train):
    backbone = build("f-anogan", losses=[LATENT])
    gan, encoder = backbone.phases()
    assert (encoder.images, encoder.batch_size) == (8, 4)
    train(backbone, gan, 2)
    before = {n: state(m) for n, m in backbone.named_children()}
    metrics = train(backbone, encoder, 3)
    assert set(metrics[0]) == {"ziz"}
    assert moved(backbone.encoder, before["encoder"])
    assert not moved(backbone.generator, before["generator"]), "not even its running means"
    assert not moved(backbone.critic, before["critic"])
    assert all(p.requires_grad for p in backbone.parameters())


def test_encoder_losses_from_either_start_are_weighted_and_summed(build, draw):
    def image(trip):
        return (trip.image - trip.image_hat).square().mean()

    from_image = WeightedLoss("izi", 0.5, image, frozenset({"image", "image_hat"}), "image")
    backbone = build("f-anogan", losses=[from_image, LATENT], flip=False)
    _, encoder = backbone.phases()
    optimiser = encoder.optimisers()["encoder"]
    optimiser.step = lambda: None
    backbone.train()
    images, random = draw(4), torch.Generator().manual_seed(3)
    metrics = encoder.step(Batch(images, torch.arange(4), 0, 0.0, random))
    assert set(metrics) == {"izi", "ziz"}
    found = [p.grad.clone() for p in backbone.encoder.parameters()]

    backbone.zero_grad()
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(3))
    loss = 2.0 * (z - backbone.encoder(backbone.generator(z))).square().mean()
    loss = loss + 0.5 * (images - backbone.generator(backbone.encoder(images))).square().mean()
    loss.backward()
    expected = [p.grad for p in backbone.encoder.parameters()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_encodings_are_bounded_by_the_published_tanh(trained, draw):
    backbone = trained("f-anogan")
    with torch.no_grad():
        latent = backbone.round_trip(draw(3) * 100, frozenset({"latent"})).latent
    assert latent.abs().max() <= 1


def test_about_half_of_the_images_are_mirrored_and_none_without_flip(build, draw):
    images = draw(64)
    batch = Batch(images, torch.arange(64), 0, 0.0, torch.Generator().manual_seed(0))
    shown = build("f-anogan")._prepared(batch)
    mirrored = torch.tensor(
        [torch.equal(a, b.flip(-1)) for a, b in zip(shown, images, strict=True)]
    )
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(shown, images, strict=True)])
    assert (mirrored ^ kept).all()
    assert 16 < mirrored.sum() < 48
    assert torch.equal(build("f-anogan", flip=False)._prepared(batch), images)


@pytest.mark.parametrize(("resample", "size"), [("up", 8), ("down", 2)])
def test_residual_blocks_resample_their_shortcut_too(resample, size):
    block = ResidualBlock(2, 3, batch_norm, resample).eval()
    x = torch.randn(1, 2, 4, 4)
    assert block(x).shape == (1, 3, size, size)
    with torch.no_grad():
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
        plain = block.shortcut(x)
        expected = (
            plain.repeat_interleave(2, -1).repeat_interleave(2, -2)
            if resample == "up"
            else torch.nn.functional.avg_pool2d(plain, 2)
        )
        torch.testing.assert_close(block(x), expected)
