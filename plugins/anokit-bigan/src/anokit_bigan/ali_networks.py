"""The networks of ALI for CIFAR-10: convolutions without padding, maxout, a stochastic encoder.

Source: Dumoulin et al., Adversarially Learned Inference (ICLR 2017); widths, kernels and initial
weights from the released code. Which layers drop how much is recalled, unverified: 0.2 of image and
latent, 0.5 of the input of every later layer of the discriminator. The bias of the image, which
that code takes from the mean of its data, begins at 0 and is one per channel. That code's biases
before batch norm are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from anokit_bigan.layers import Encoder, Judgement, dropout, initialise, single

if TYPE_CHECKING:
    from torch import Generator

SIZE = 32
"""Height and width of the images, in pixels: without padding 32 → 28 → 13 → 10 → 4 → 1."""
SLOPE = 0.1
"""Of every leaky ReLU."""
DEVIATION = 0.01
"""Of initial weights."""
INPUT_DROPOUT, DROPOUT = 0.2, 0.5
LAYERS = ((1, 5, 1), (2, 4, 2), (4, 4, 1), (8, 4, 2), (16, 4, 1))
"""Width of a layer's output in units of ``width``, kernel, and stride."""


class ALIEncoder(Encoder):
    """E: ``[B, C, 32, 32] -> [B, Z]``: mean μ(x) of a Gaussian; training uses its log σ(x) too."""

    def __init__(self, channels: int, latent_size: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = channels
        for units, kernel, stride in (*LAYERS, (16, 1, 1)):
            outside = units * width
            layers += [nn.Conv2d(inside, outside, kernel, stride, bias=False)]
            layers += [nn.BatchNorm2d(outside), nn.LeakyReLU(SLOPE)]
            inside = outside
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inside, 2 * latent_size))
        initialise(self, DEVIATION)

    def forward(self, images: Tensor) -> Tensor:
        """Return μ(x)."""
        mean, _ = self._moments(images)
        return mean

    def sample(self, images: Tensor, random: Generator) -> Tensor:
        """Return μ(x) + σ(x)·ε with ε ~ N(0, I) drawn from ``random``; gradients reach μ and σ."""
        mean, log_deviation = self._moments(images)
        noise = torch.randn(mean.shape, generator=random, device=mean.device, dtype=mean.dtype)
        return mean + log_deviation.exp() * noise

    def _moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_deviation = single(self.layers(images)).chunk(2, dim=1)
        return mean, log_deviation


class ALIGenerator(nn.Module):
    """G: ``[B, Z] -> [B, C, 32, 32]`` in [-1, 1]: 2·sigmoid − 1."""

    def __init__(self, channels: int, latent_size: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = latent_size
        for units, kernel, stride in ((8, 4, 1), (4, 4, 2), (2, 4, 1), (1, 4, 2), (1, 5, 1)):
            outside = units * width
            layers += [nn.ConvTranspose2d(inside, outside, kernel, stride, bias=False)]
            layers += [nn.BatchNorm2d(outside), nn.LeakyReLU(SLOPE)]
            inside = outside
        layers += [nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(width, channels, 1)]
        self.layers = nn.Sequential(*layers)
        initialise(self, DEVIATION)

    def forward(self, latents: Tensor) -> Tensor:
        """Make images from latents."""
        return single(2 * torch.sigmoid(self.layers(latents[:, :, None, None])) - 1)


class ALIDiscriminator(nn.Module):
    """D(x, z): ``[B, C, 32, 32], [B, Z] -> Judgement``; features f(x, z) are ``[B, 32·width]``.

    Every layer but the last takes the larger of two outputs each: maxout (Goodfellow et al., 2013).
    """

    def __init__(self, channels: int, latent_size: int, width: int) -> None:
        super().__init__()
        self.of_image = nn.ModuleList()
        inside = channels
        for units, kernel, stride in LAYERS:
            self.of_image.append(nn.Conv2d(inside, 2 * units * width, kernel, stride))
            inside = units * width
        seen, joint = 16 * width, 32 * width
        self.of_latent = nn.ModuleList(
            [nn.Linear(latent_size, 2 * seen), nn.Linear(seen, 2 * seen)]
        )
        self.joint = nn.ModuleList(
            [nn.Linear(inside + seen, 2 * joint), nn.Linear(joint, 2 * joint)]
        )
        self.opinion = nn.Linear(joint, 1)
        initialise(self, DEVIATION)

    def forward(
        self, images: Tensor, latents: Tensor, random: Generator | None = None
    ) -> Judgement:
        """Judge pairs; with ``random``, dropout takes part, as in training."""
        x = _through(self.of_image, images, INPUT_DROPOUT, random).flatten(1)
        z = _through(self.of_latent, latents, INPUT_DROPOUT, random)
        features = _through(self.joint, torch.cat([x, z], dim=1), DROPOUT, random)
        logits = self.opinion(dropout(features, DROPOUT, random)).squeeze(1)
        return Judgement(single(logits), single(features))


def _through(
    layers: nn.ModuleList, values: Tensor, rate: float, random: Generator | None
) -> Tensor:
    """Drop inputs, a share ``rate`` before the first layer, and take the maxima of each layer."""
    for layer in layers:
        values = torch.maximum(*layer(dropout(values, rate, random)).chunk(2, dim=1))
        rate = DROPOUT
    return values
