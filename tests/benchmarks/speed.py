"""Speed as ratios within one run: ``uv run python tests/benchmarks/speed.py [--device cuda]``.

Run by hand, on a machine that does nothing else. Absolute figures differ from hour to hour on one
machine; the ratios are what to compare. What is compared runs in turns, A B A B …, and the median
of the ratios of the pairs is printed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from anokit.data.pixels import to_float
from anokit.data.sets import ImageTable, RunData, TrainingSet, all_rows
from anokit.recipe.parts import Recipe
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.scoring.scorer import Scorer
from anokit.store.run_directory import RunDirectory
from anokit.training.backbone import GuardedBackbone, build_backbone
from anokit.training.device import peak_memory, resolve_device
from anokit.training.job import Job
from anokit.training.loop import Trainer
from anokit.types import ImageSpec
from anokit_pgan.backbone import ProgressiveGAN

PAIRS = 5


def recipe_of(backbone: Mapping[str, Any]) -> Recipe:
    """Return a recipe on digits with this backbone table."""
    tables = {
        "dataset": {"use": "digits"},
        "backbone": {"use": "pgan", **backbone},
        "encoder-losses": [{"use": "di"}],
        "scores": [{"use": "lo"}, {"use": "ln"}],
        "training": {"snapshots": 0, "checkpoint_minutes": 1e9},
    }
    return resolve(tables, Registry.load(), Path("benchmark.toml"))


def in_turns(a: Callable[[], float], b: Callable[[], float]) -> tuple[float, float, float]:
    """Return the medians of two speeds and of the ratio a/b over pairs of runs."""
    a(), b()  # warm up
    pairs = [(a(), b()) for _ in range(PAIRS)]
    return (
        statistics.median(x for x, _ in pairs),
        statistics.median(y for _, y in pairs),
        statistics.median(x / y for x, y in pairs),
    )


def trainer_speed(recipe: Recipe, spec: ImageSpec, device: torch.device, steps: int) -> float:
    """Return images/s of anokit's loop in the last phase of growth."""
    model = build_backbone(recipe, spec, device)
    phases = [p for p in model.phases() if p.name == str(spec.height)]
    pixels = torch.randint(0, 256, (512, spec.channels, spec.height, spec.width)).to(torch.uint8)
    settings = recipe.training.model_copy(update={"max_steps": steps})
    names = [str(place) for place in range(len(pixels))]
    train = TrainingSet(ImageTable([pixels]), names, np.zeros(len(pixels), dtype=bool))
    data = RunData(spec, train, None, "", (), simulated=False, fingerprint="")
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(Path(folder))
        job = Job(replace(recipe, training=settings), data, model, directory, device)
        trainer = Trainer(job, phases)
        trainer.save = lambda: None  # type: ignore[method-assign]
        began = time.perf_counter()
        trainer.train()
        _wait(device)
    return steps * phases[0].batch_size / (time.perf_counter() - began)


def bare_speed(recipe: Recipe, spec: ImageSpec, device: torch.device, steps: int) -> float:
    """Return images/s of the plainest loop over the same networks: no core, no plugin API."""
    backbone = cast("ProgressiveGAN", build_backbone(recipe, spec, device).module).train()
    nets = backbone._networks()
    options, size = backbone.options, options_batch(backbone)
    pixels = torch.randint(0, 256, (512, spec.channels, spec.height, spec.width)).to(torch.uint8)
    pixels = pixels.to(device)
    fused = device.type in ("cpu", "cuda")
    assert nets.encoder is not None
    both = [*nets.generator.parameters(), *nets.encoder.parameters()]
    adam_d = torch.optim.Adam(nets.discriminator.parameters(), 1e-3, (0.0, 0.99), 1e-8, fused=fused)
    adam_g = torch.optim.Adam(both, 1e-3, (0.0, 0.99), 1e-8, fused=fused)
    cast_to = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    average = [p.detach().clone() for p in nets.generator.parameters()]
    began = time.perf_counter()
    for _ in range(steps):
        real = pixels[torch.randint(0, 512, (size,), device=device)].float() / 127.5 - 1
        with torch.no_grad(), cast_to:
            fake = nets.generate(torch.randn(size, options.latent_size, device=device)).float()
        with cast_to:
            d_real, d_fake = nets.criticise(real).float(), nets.criticise(fake).float()
        mix = torch.lerp(real, fake, torch.rand(size, 1, 1, 1, device=device)).requires_grad_()
        (slope,) = torch.autograd.grad(nets.criticise(mix).sum(), mix, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        loss = d_fake.mean() - d_real.mean() + 10 * penalty + 1e-3 * d_real.square().mean()
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()
        torch._foreach_lerp_(average, [p.detach() for p in nets.generator.parameters()], 0.001)
        nets.discriminator.requires_grad_(False)
        with cast_to:
            image = nets.generate(torch.randn(size, options.latent_size, device=device))
            opinion = nets.criticise(image).float()
            again = nets.generate(nets.encode(image))
        loss = -opinion.mean() + (image.float() - again.float()).abs().mean()
        adam_g.zero_grad()
        loss.backward()
        adam_g.step()
        nets.discriminator.requires_grad_(True)
    _wait(device)
    return steps * size / (time.perf_counter() - began)


def options_batch(backbone: ProgressiveGAN) -> int:
    """Return the batch size of the last phase of growth."""
    return [p for p in backbone.phases() if p.optimisers is not None][-1].batch_size


def scoring_speed(
    recipe: Recipe, model: GuardedBackbone, names: list[str], images: Tensor, device: torch.device
) -> float:
    """Return images/s of some of a recipe's scores."""
    chosen = [score for score in recipe.scores if score.name in names]
    scorer = Scorer(chosen, model, device, 64, 0)
    began = time.perf_counter()
    scorer.compute(ImageTable([images]), all_rows(len(images)))
    _wait(device)
    return len(images) / (time.perf_counter() - began)


def bare_scoring_speed(
    model: nn.Module, images: Tensor, device: torch.device, *, reconstruct: bool
) -> float:
    """Return images/s of the bare encoder, and of the generator after it: what Lo and Ln need."""
    networks = cast("ProgressiveGAN", model)._networks(averaged=True)
    began = time.perf_counter()
    with torch.no_grad():
        for part in images.split(64):
            latent = networks.encode(to_float(part.to(device)))
            (networks.generate(latent) if reconstruct else latent).cpu()
    _wait(device)
    return len(images) / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def start_up(arguments: list[str]) -> float:
    """Return the median seconds of a whole process, byte-compiled."""
    times = []
    for _ in range(PAIRS + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def main() -> None:
    """Print all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    device = resolve_device(given.device)
    spec = ImageSpec(3, given.size, given.size)
    table = {"max_channels": given.channels, "batch_size": 32}
    recipe = recipe_of(table)
    print(f"device {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"pgan at {spec}, {given.channels} channels, batches of 32\n")

    ours, bare, ratio = in_turns(
        lambda: trainer_speed(recipe, spec, device, given.steps),
        lambda: bare_speed(recipe, spec, device, given.steps),
    )
    print(f"training   anokit {ours:8.1f}  bare loop {bare:8.1f} images/s   ratio {ratio:.3f}")
    last, nchw, ratio = in_turns(
        lambda: trainer_speed(
            recipe_of({**table, "memory_format": "channels_last"}), spec, device, given.steps
        ),
        lambda: trainer_speed(
            recipe_of({**table, "memory_format": "nchw"}), spec, device, given.steps
        ),
    )
    print(f"training   channels_last {last:8.1f}  NCHW {nchw:8.1f} images/s   ratio {ratio:.3f}")

    model = build_backbone(recipe, spec, device)
    images = torch.randint(0, 256, (512, *spec_shape(spec))).to(torch.uint8)
    lo, both, ratio = in_turns(
        lambda: scoring_speed(recipe, model, ["lo"], images, device),
        lambda: scoring_speed(recipe, model, ["lo", "ln"], images, device),
    )
    print(f"scoring    Lo {lo:8.1f}  Ln + Lo {both:8.1f} images/s   ratio {ratio:.3f}")
    for name, shown, reconstruct in (
        ("lo", "Lo", False),
        ("ln", "Ln", True),
    ):
        ours, bare, ratio = in_turns(
            partial(scoring_speed, recipe, model, [name], images, device),
            partial(bare_scoring_speed, model.module, images, device, reconstruct=reconstruct),
        )
        print(
            f"scoring    {shown} {ours:8.1f}  bare networks {bare:8.1f} images/s   "
            f"ratio {ratio:.3f}"
        )
    print(f"peak memory so far {peak_memory(device) / 2**30:.2f} GiB\n")

    python = start_up(["-c", "pass"])
    print(f"start-up   bare Python {python:.2f} s")
    for arguments in (["--help"], ["--version"], ["list-plugins"], ["describe", "score", "ln"]):
        seconds = start_up(["-m", "anokit", *arguments])
        print(f"start-up   anokit {' '.join(arguments):<18} {seconds:.2f} s")


def spec_shape(spec: ImageSpec) -> tuple[int, int, int]:
    """Return channels, height, width."""
    return spec.channels, spec.height, spec.width


if __name__ == "__main__":
    main()
