"""One training step of each backbone, against its equations written again in plain functions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anokit.types import Batch

LEARNING_RATE = 2e-4


class Reference:
    """Copies of a backbone's weights, and what is computed with them.

    ``random`` is a generator in the state of that which the backbone gets.
    """

    def __init__(self, backbone, random):
        named = backbone.named_parameters()
        self.p = {n: v.detach().clone().requires_grad_() for n, v in named if "_ema" not in n}
        self.b = {n: v.detach().clone() for n, v in backbone.named_buffers()}
        self.random = random

    def weight(self, name):
        """A weight, divided by its largest singular value where the layer is so normalised."""
        key = f"{name}.parametrizations.weight"
        if f"{key}.original" not in self.p:
            return self.p[f"{name}.weight"]
        whole = self.p[f"{key}.original"].flatten(1)
        fixed, v = whole.detach(), self.b[f"{key}.0._v"]
        u = fixed @ v / (fixed @ v).norm()
        v = fixed.T @ u / (fixed.T @ u).norm()
        self.b[f"{key}.0._u"], self.b[f"{key}.0._v"] = u, v
        return self.p[f"{key}.original"] / (u @ (whole @ v))

    def bias(self, name):
        return self.p.get(f"{name}.bias")

    def conv(self, x, name, **how):
        return functional.conv2d(x, self.weight(name), self.bias(name), **how)

    def up(self, x, name, **how):
        return functional.conv_transpose2d(x, self.weight(name), self.bias(name), **how)

    def dense(self, x, name):
        return functional.linear(x, self.weight(name), self.bias(name))

    def norm(self, x, name):
        """Batch norm with the statistics of the batch."""
        axes = [0, *range(2, x.ndim)]
        mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        shape = mean.shape
        scale, shift = self.p[f"{name}.weight"].view(shape), self.p[f"{name}.bias"].view(shape)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def drop(self, x, rate):
        keep = torch.rand(x.shape, generator=self.random) >= rate
        return torch.where(keep, x / (1 - rate), 0.0)

    def dropped(self, x, slope, rate):
        return self.drop(torch.where(x > 0, x, slope * x), rate)

    # The networks for CIFAR-10 of ALAD

    def dcgan_encode(self, x):
        for place in (0, 3, 6):
            x = self.conv(x, f"encoder.layers.{place}", stride=2, padding=1)
            x = functional.leaky_relu(self.norm(x, f"encoder.layers.{place + 1}"), 0.2)
        return self.conv(x, "encoder.layers.9").flatten(1)

    def dcgan_generate(self, z):
        x = self.up(z[:, :, None, None], "generator.layers.0")
        for place in (1, 4, 7):
            x = functional.relu(self.norm(x, f"generator.layers.{place}"))
            x = self.up(x, f"generator.layers.{place + 2}", stride=2, padding=1)
        return torch.tanh(x)

    def dcgan_judge(self, x, z, name="discriminator"):
        x = functional.leaky_relu(self.conv(x, f"{name}.of_image.0", stride=2, padding=1), 0.2)
        for place in (2, 5):
            x = self.conv(x, f"{name}.of_image.{place}", stride=2, padding=1)
            x = functional.leaky_relu(self.norm(x, f"{name}.of_image.{place + 1}"), 0.2)
        for place in (0, 1):
            z = self.dropped(self.dense(z, f"{name}.of_latent.{place}"), 0.2, 0.2)
        features = self.dense(torch.cat([x.flatten(1), z], 1), f"{name}.joint")
        return self.dense(self.dropped(features, 0.2, 0.2), f"{name}.opinion")[:, 0]

    # Those for MNIST of EGBAD

    def egbad_encode(self, x):
        x = functional.leaky_relu(self.conv(x, "encoder.layers.0", padding=1), 0.1)
        for place in (2, 5):
            x = self.conv(x, f"encoder.layers.{place}", stride=2, padding=1)
            x = functional.leaky_relu(self.norm(x, f"encoder.layers.{place + 1}"), 0.1)
        return self.dense(x.flatten(1), "encoder.layers.9")

    def egbad_generate(self, z):
        z = functional.relu(self.norm(self.dense(z, "generator.layers.0"), "generator.layers.1"))
        z = functional.relu(self.norm(self.dense(z, "generator.layers.3"), "generator.layers.4"))
        x = self.up(z.view(len(z), -1, 8, 8), "generator.layers.7", stride=2, padding=1)
        x = functional.relu(self.norm(x, "generator.layers.8"))
        return torch.tanh(self.up(x, "generator.layers.10", stride=2, padding=1))

    def egbad_judge(self, x, z, name="discriminator"):
        x = self.dropped(self.conv(x, f"{name}.first", stride=2, padding=1), 0.1, 0.5)
        x = self.conv(x, f"{name}.second", stride=2, padding=1)
        x = self.dropped(self.norm(x, f"{name}.norm"), 0.1, 0.5)
        z = self.dropped(self.dense(z, f"{name}.of_latent"), 0.1, 0.5)
        features = self.dense(torch.cat([x.flatten(1), z], 1), f"{name}.joint")
        return self.dense(self.dropped(features, 0.1, 0.5), f"{name}.opinion")[:, 0]

    # Those of ALI

    def ali_encode(self, x):
        for place, stride in zip((0, 3, 6, 9, 12, 15), (1, 2, 1, 2, 1, 1), strict=True):
            x = self.conv(x, f"encoder.layers.{place}", stride=stride)
            x = functional.leaky_relu(self.norm(x, f"encoder.layers.{place + 1}"), 0.1)
        moments = self.dense(x.flatten(1), "encoder.layers.19")
        mean, deviation = moments[:, : moments.shape[1] // 2], moments[:, moments.shape[1] // 2 :]
        noise = torch.randn(mean.shape, generator=self.random, dtype=torch.float64)
        return mean + deviation.exp() * noise

    def ali_generate(self, z):
        x = z[:, :, None, None]
        for place, stride in zip((0, 3, 6, 9, 12), (1, 2, 1, 2, 1), strict=True):
            x = self.up(x, f"generator.layers.{place}", stride=stride)
            x = functional.leaky_relu(self.norm(x, f"generator.layers.{place + 1}"), 0.1)
        x = self.norm(self.conv(x, "generator.layers.15"), "generator.layers.16")
        x = self.conv(functional.leaky_relu(x, 0.1), "generator.layers.18")
        return 2 / (1 + (-x).exp()) - 1

    def ali_judge(self, x, z, name="discriminator"):
        def maxout(values):
            half = values.shape[1] // 2
            return torch.where(
                values[:, :half] > values[:, half:], values[:, :half], values[:, half:]
            )

        for place, stride in enumerate((1, 2, 1, 2, 1)):
            x = self.drop(x, 0.2 if place == 0 else 0.5)
            x = maxout(self.conv(x, f"{name}.of_image.{place}", stride=stride))
        for place in (0, 1):
            z = maxout(self.dense(self.drop(z, (0.2, 0.5)[place]), f"{name}.of_latent.{place}"))
        x = torch.cat([x.flatten(1), z], 1)
        for place in (0, 1):
            x = maxout(self.dense(self.drop(x, 0.5), f"{name}.joint.{place}"))
        return self.dense(self.drop(x, 0.5), f"{name}.opinion")[:, 0]

    # The two more of ALAD

    def judge_images(self, x, other):
        x = torch.cat([x, other], 1)
        for name in ("d_xx.first", "d_xx.second"):
            x = self.dropped(self.conv(x, name, stride=2, padding=2), 0.2, 0.2)
        return self.dense(x.flatten(1), "d_xx.opinion")[:, 0]

    def judge_latents(self, z, other):
        z = torch.cat([z, other], 1)
        for name in ("d_zz.hidden.0", "d_zz.hidden.1"):
            z = self.dropped(self.dense(z, name), 0.2, 0.2)
        return self.dense(z, "d_zz.opinion")[:, 0]

    def descend(self, losses):
        """Take the first step of Adam (β = 0.5, 0.999): each loss by the weights of its networks.

        With bias correction the moments of the first step are g and g².
        """
        gradients = {}
        for networks, loss in losses:
            names = [n for n in self.p if n.partition(".")[0] in networks]
            found = torch.autograd.grad(loss, [self.p[n] for n in names], retain_graph=True)
            gradients |= dict(zip(names, found, strict=True))
        for name, g in gradients.items():
            moved = self.p[name] - LEARNING_RATE * g / (g.square().sqrt() + 1e-8)
            self.p[name] = moved.detach().requires_grad_()


def bce(logits, label):
    """The mean of −log σ(logit) or of −log (1 − σ(logit))."""
    probability = torch.sigmoid(logits)
    return -(probability if label else 1 - probability).log().mean()


def one_step(backbone, images, step=0, seed=3):
    """Take one step; return its metrics and a reference that drew the same latents before it."""
    random, again = (torch.Generator().manual_seed(seed) for _ in range(2))
    expected = Reference(backbone, again)
    (phase, *_) = backbone.phases()
    phase.optimisers()
    backbone.train()
    z = torch.randn(len(images), backbone.options.latent_size, generator=again, dtype=images.dtype)
    metrics = phase.step(Batch(images, torch.arange(len(images)), step, 0.0, random))
    return metrics, expected, z


def assert_moved_alike(backbone, expected):
    """Compare weights after the step, and the vectors of spectral norms."""
    found = {n: p for n, p in backbone.named_parameters() if "_ema" not in n}
    assert found.keys() == expected.p.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected.p[name], rtol=0, atol=1e-9, msg=name)
    for name, value in backbone.named_buffers():
        if name.endswith(("_u", "_v")) and "_ema" not in name:
            torch.testing.assert_close(value, expected.b[name], rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("networks", ["dcgan", "egbad", "ali"])
def test_a_step_of_bigan_is_that_of_the_equations(build, draw, networks):
    backbone = build("bigan", networks=networks, learning_rate=2e-4).double()
    x = draw(4).double()
    metrics, r, z = one_step(backbone, x)
    encode, generate, judge = (
        getattr(r, f"{networks}_{name}") for name in ("encode", "generate", "judge")
    )
    latent, fake = encode(x), generate(z)
    loss_d = bce(judge(x, latent.detach()), 1) + bce(judge(fake.detach(), z), 0)
    r.descend([({"discriminator"}, loss_d)])
    loss_g = bce(judge(x, latent), 0) + bce(judge(fake, z), 1)
    r.descend([({"generator", "encoder"}, loss_g)])
    torch.testing.assert_close(metrics["loss_d"], loss_d.detach())
    torch.testing.assert_close(metrics["loss_g"], loss_g.detach())
    assert_moved_alike(backbone, r)


@pytest.mark.parametrize("dzz", [True, False])
@pytest.mark.parametrize("spectral", [True, False])
def test_a_step_of_alad_is_that_of_the_published_losses(build, draw, dzz, spectral):
    options = {"dzz": dzz, "spectral_norm": spectral, "learning_rate": 2e-4}
    backbone = build("alad", **options).double()
    x = draw(4).double()
    metrics, r, z = one_step(backbone, x)

    def judge(images, latents):
        return r.dcgan_judge(images, latents, "d_xz")

    latent, fake = r.dcgan_encode(x), r.dcgan_generate(z)
    x_hat, z_hat = r.dcgan_generate(latent), r.dcgan_encode(fake)
    loss_d = bce(judge(x, latent.detach()), 1) + bce(judge(fake.detach(), z), 0)
    loss_d = loss_d + bce(r.judge_images(x, x), 1) + bce(r.judge_images(x, x_hat.detach()), 0)
    if dzz:
        loss_d = loss_d + bce(r.judge_latents(z, z), 1) + bce(r.judge_latents(z, z_hat.detach()), 0)
    r.descend([({"d_xz", "d_xx", *(["d_zz"] if dzz else [])}, loss_d)])
    # As published: a loss for G and one for E, each by the weights of that network alone. What
    # judges (x, x) and (z, z) has no gradient and is left out here too, since it would draw masks.
    loss_e, loss_g = bce(judge(x, latent), 0), bce(judge(fake, z), 1)
    cycle = bce(r.judge_images(x, x_hat), 1)
    if dzz:
        cycle = cycle + bce(r.judge_latents(z, z_hat), 1)
    r.descend([({"encoder"}, loss_e + cycle), ({"generator"}, loss_g + cycle)])
    torch.testing.assert_close(metrics["loss_d"], loss_d.detach())
    torch.testing.assert_close(metrics["cycle"], cycle.detach())
    torch.testing.assert_close(metrics["loss_g"], (loss_e + loss_g + cycle).detach())
    assert_moved_alike(backbone, r)
