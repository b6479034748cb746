"""ADGAN: a Wasserstein GAN whose generator adapts itself to every query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit.nn import SearchStarts, check_images, check_square
from anokit.types import Phase, RoundTrip
from anokit_anogan.adaptive_search import Adapted, adaptive_search
from anokit_anogan.adgan_networks import ADGANCritic, ADGANGenerator
from anokit_anogan.wasserstein import WassersteinGAN, runaway_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Generator, Tensor

    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_anogan.plugin import ADGANOptions

SEARCHED = frozenset({"latent", "image_hat", "search_loss"})


class ADGAN(nn.Module):
    """Generator G and critic D; the critic plays no part in scoring.

    Trained as a Wasserstein GAN with gradient penalty. At scoring, z and a copy of G are fitted to
    each query from each of several starts; ``search_loss`` ``[B, R]`` holds what is left of mean
    (x − G(z))², and x̂ is that of the best start. All weights and the seed of the starts are
    drawn from torch's default generator on construction.

    Source: Deecke et al., ADGAN (2018), as re-implemented by Golan and El-Yaniv (2018).

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 32.
    """

    progress: Callable[[float], None] | None = None
    """set by the core: takes the share of a round trip that was just done"""

    def __init__(
        self,
        options: ADGANOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        size = check_square(spec, "adgan", 32)
        self.options = options
        self.spec = spec
        self.generator = ADGANGenerator(spec.channels, size, options.latent_size, options.width)
        self.critic = ADGANCritic(spec.channels, size, options.width)
        self._gan = WassersteinGAN(
            self.generator,
            self.critic,
            latent_size=options.latent_size,
            learning_rate=options.learning_rate,
            penalty=options.gradient_penalty,
            critic_steps=options.critic_steps,
            precision=options.precision,
        )
        self.starts = SearchStarts(options.search_starts, options.latent_size)

    @property
    def batch_dependence(self) -> str:
        """What makes a score depend on the other images of its batch; empty if nothing does."""
        at_once = self.options.search_batch
        return f"{at_once} queries are searched for at once" if at_once > 1 else ""

    def phases(self) -> Sequence[Phase]:
        """Return the one phase."""
        return [
            Phase(
                name="gan",
                step=self._step,
                optimisers=self._gan.start,
                batch_size=self.options.batch_size,
                images=self.options.images,
            )
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Search for images ``[B, C, H, W]``, where ``needs`` asks for what is found.

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "adgan")
        fields = {"image": images}
        if needs & SEARCHED:
            found = self._search(images)
            fields |= {"latent": found.latent, "image_hat": found.image_hat}
        asked = {name: value for name, value in fields.items() if name in needs}
        extra = {"search_loss": found.losses} if "search_loss" in needs else {}
        return RoundTrip(**asked, extra=extra)

    def samples(self, count: int, generator: Generator) -> Tensor:
        """Return ``[count, C, H, W]`` images of G, comparable over time."""
        shape = (count, self.options.latent_size)
        return self.generator(torch.randn(shape, generator=generator, device=generator.device))

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        return runaway_warnings(metrics, self.spec)

    def _search(self, images: Tensor) -> Adapted:
        """Search for each query from all starts: each start has its own copy of the generator."""
        options = self.options
        parts = torch.split(images, options.search_batch)
        found = [
            adaptive_search(
                self.generator,
                part,
                self.starts(part),
                steps=options.search_steps,
                latent_learning_rate=options.latent_learning_rate,
                generator_learning_rate=options.generator_learning_rate,
                progress=self._progress_of(len(part) / len(images)),
            )
            for part in parts
        ]
        return Adapted(*(torch.cat(values) for values in zip(*found, strict=True)))

    def _progress_of(self, share: float) -> Callable[[float], None] | None:
        whole = self.progress
        return None if whole is None else lambda part: whole(share * part)

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        real = batch.images
        if real.is_cuda:
            real = real.contiguous(memory_format=torch.channels_last)
        return self._gan.step(real, batch)
