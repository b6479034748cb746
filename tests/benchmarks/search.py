"""Speed of the latent search: ``uv run python tests/benchmarks/search.py [--device cuda]``.

As a ratio to a loop written by hand for one batch, over the same networks, images and steps; both
run in turns and the median of the pairs counts. To be met: 0.9.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial

import torch
from torch import Tensor

from anokit.nn import latent_search, residual_objective, settle
from anokit.training.device import resolve_device
from anokit_anogan.dcgan import DCDiscriminator, DCGenerator

PAIRS = 5
LATENT = 100
WEIGHT = 0.1


def by_hand(
    generator: DCGenerator,
    discriminator: DCDiscriminator,
    images: Tensor,
    starts: Tensor,
    steps: int,
) -> Tensor:
    """Search for all images at once, with nothing around it."""
    z = starts[:, 0].clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=0.01)
    with torch.no_grad():
        wanted = discriminator.features(images)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 0.01 * settle(step / steps)
        found = generator(z)
        loss = (1 - WEIGHT) * (images - found).abs().sum()
        loss = loss + WEIGHT * (wanted - discriminator.features(found)).abs().sum()
        (z.grad,) = torch.autograd.grad(loss, z)
        adam.step()
    return z.detach()


def main() -> None:
    """Time both and print one line per number of images."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--device", default="auto")
    arguments.add_argument("--width", type=int, default=32, help="channels next to the image")
    arguments.add_argument("--steps", type=int, default=20)
    arguments.add_argument("--batch", type=int, default=64, help="queries searched for at once")
    chosen = arguments.parse_args()
    device = resolve_device(chosen.device)
    generator = DCGenerator(3, 32, LATENT, chosen.width).to(device).eval()
    discriminator = DCDiscriminator(3, 32, chosen.width).to(device).eval()
    objective = partial(
        residual_objective,
        generate=generator,
        features=discriminator.features,
        feature_weight=WEIGHT,
    )
    print(f"device {device}, width {chosen.width}, {chosen.steps} steps, {chosen.batch} at once")
    for count in (chosen.batch, 2 * chosen.batch, 4 * chosen.batch):
        images = torch.rand(count, 3, 32, 32, device=device) * 2 - 1
        starts = torch.randn(count, 1, LATENT, device=device)

        def anokit(images: Tensor = images, starts: Tensor = starts) -> None:
            latent_search(objective, images, starts, steps=chosen.steps, batch_size=chosen.batch)

        def plain(images: Tensor = images, starts: Tensor = starts) -> None:
            by_hand(generator, discriminator, images, starts, chosen.steps)

        ratios, speeds = [], []
        for _ in range(PAIRS):
            own, other = (_seconds(run, device) for run in (anokit, plain))
            ratios.append(other / own)
            speeds.append(count * chosen.steps / own)
        speed, ratio = statistics.median(speeds), statistics.median(ratios)
        print(f"{count:4d} images: {speed:9,.0f} image-steps/s, {ratio:.2f} of the loop by hand")


def _seconds(run: object, device: torch.device) -> float:
    assert callable(run)
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
