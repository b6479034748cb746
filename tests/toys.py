"""A one-file plugin with one small thing of every kind, so that the core is tested without plugins.

Used as ``--plugin tests/toys.py``. Options make components misbehave where a test wants them to.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import nn

from anokit import Batch, Component, ImageSpec, Options, Phase, RoundTrip, hookimpl
from anokit.data import ArraySplit, seeded_order


class LinearOptions(Options):
    """Options of ``linear``."""

    latent: int = Field(4, ge=1, description="size of the latent")
    images: int = Field(96, ge=1, description="images of each of the two phases")
    batch_size: int = Field(8, ge=1, description="images per step")
    learning_rate: float = Field(0.01, gt=0, description="step size of Adam")
    noise: float = Field(0.1, ge=0, description="standard deviation of noise on the images")
    nan_at: int | None = Field(None, description="step of the second phase whose loss is NaN")
    fail_at: int | None = Field(None, description="step of the second phase that raises")
    stop_at: int | None = Field(None, description="step of the second phase that sends SIGTERM")


class Linear(nn.Module):
    """A linear autoencoder: two phases, the first at half the resolution."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__()
        self.options, self.spec, self.losses = options, spec, encoder_losses
        size = spec.channels * spec.height * spec.width
        self.encoder = nn.Linear(size, options.latent)
        self.decoder = nn.Linear(options.latent, size)
        self.register_buffer("steps_done", torch.tensor(0))

    def phases(self):
        for name, resolution in (("half", self.spec.height // 2), ("whole", None)):
            yield Phase(
                name=name,
                step=self.step_half if resolution else self.step_whole,
                optimisers=self.start,
                batch_size=self.options.batch_size,
                images=self.options.images,
                resolution=resolution,
            )

    def start(self):
        self.steps_done.zero_()  # of this phase; a resumed run must go on counting
        self.adam = torch.optim.Adam(self.parameters(), self.options.learning_rate)
        return {"adam": self.adam}

    def step_half(self, batch):
        return self.step(batch, batch.images.repeat_interleave(2, -1).repeat_interleave(2, -2))

    def step_whole(self, batch: Batch):
        if batch.step == self.options.fail_at:
            raise ZeroDivisionError("the toy was told to fail")
        if batch.step == self.options.stop_at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return self.step(batch, batch.images)

    def step(self, batch, images):
        noise = torch.empty_like(images).normal_(generator=batch.generator)
        trip = self.round_trip(images + self.options.noise * noise, frozenset({"latent_hat"}))
        errors = (images - trip.image_hat).square().mean(dim=(1, 2, 3))
        error = batch.average(errors, 1 / errors)
        loss = error + sum(entry.weight * entry.loss(trip) for entry in self.losses)
        if batch.step == self.options.nan_at and batch.images.shape[-1] == self.spec.width:
            loss = loss * float("nan")
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.steps_done += 1
        return {"error": error.detach(), "loss": loss.detach()}

    def round_trip(self, images, needs):
        latent = self.encoder(images.flatten(1))
        image_hat = self.decoder(latent).view_as(images)
        again = self.encoder(image_hat.flatten(1)) if "latent_hat" in needs else None
        return RoundTrip(image=images, latent=latent, image_hat=image_hat, latent_hat=again)


class Blank(nn.Module):
    """A backbone that is never trained and fills one field, or fails to."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__()
        self.options = options

    def phases(self):
        return []

    def round_trip(self, images, needs):
        return RoundTrip(image=images, features=None if self.options.lazy else images.flatten(1))


class BlankOptions(Options):
    """Options of ``blank``."""

    lazy: bool = Field(False, description="whether to leave the promised field unfilled")


class Shrink:
    """Encoder loss: the mean square of the latent."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.latent.square().mean()


class Residual:
    """Mean absolute residual, with a map."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        return self.map(trip).mean(dim=(1, 2))

    def map(self, trip):
        return (trip.image - trip.image_hat).abs().mean(dim=1)


class Seen:
    """Mean of the features."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.features.flatten(1).mean(dim=1)


class FarOptions(Options):
    """Options of ``far``."""

    most: int | None = Field(None, description="most images to be fitted on")


FITS = []
"""What each call of `Far.fit` was given, images as bytes, for tests to look at."""


class Far(nn.Module):
    """Fitted score: distance from the mean image of the training set, in pixels."""

    def __init__(self, options):
        super().__init__()
        if options.most is not None:
            self.max_fit_images = options.most
        self.register_buffer("mean", torch.empty(0))

    def fit(self, trips):
        images = torch.cat([trip.image for trip in trips])
        again = torch.cat([trip.image for trip in trips])
        assert torch.equal(images, again), "the iterable can be walked twice"
        FITS.append([image.numpy().tobytes() for image in images])
        self.mean = images.mean(dim=0)

    def forward(self, trip):
        return (trip.image - self.mean).square().flatten(1).mean(dim=1)


class TypicalOptions(Options):
    """Options of ``typical``."""

    scale: float = Field(1.0, description="factor of the score")


class Typical(nn.Module):
    """Fitted score: squared distance from the mean latent of the training set."""

    def __init__(self, options):
        super().__init__()
        self.scale = options.scale
        self.register_buffer("mean", torch.empty(0))

    def fit(self, trips):
        self.mean = torch.cat([trip.latent for trip in trips]).mean(dim=0)

    def forward(self, trip):
        return self.scale * (trip.latent - self.mean).square().mean(dim=1)


class BadOptions(Options):
    """Options of ``bad``."""

    how: Literal["nan", "raise", "shape", "build", "crowd", "declared"] = Field(
        description="what goes wrong"
    )


class Bad:
    """A score that goes wrong; ``crowd`` depends on its batch, ``declared`` says so too."""

    def __init__(self, options):
        self.how = options.how
        if self.how == "build":
            raise OSError("no weights here")
        if self.how == "declared":
            self.batch_dependence = "centred on the batch, as published"

    def __call__(self, trip):
        plain = trip.image.flatten(1).mean(dim=1)
        if self.how == "raise":
            raise KeyError("the toy was told to raise")
        if self.how == "nan":
            return torch.where(plain > plain.median(), plain, float("nan"))
        return plain - plain.mean() if self.how in ("crowd", "declared") else plain[:, None]


class BlobOptions(Options):
    """Options of ``blobs``."""

    train: int = Field(60, ge=0, description="training images")
    test: int = Field(20, ge=0, description="test images of each label; 0: no test set")
    contaminants: int = Field(30, ge=0, description="contaminants; 0: none")
    size: int = Field(8, ge=2, description="side in pixels")
    channels: int = Field(1, ge=1, description="channels")
    labels: Literal["both", "normal", "none", "swapped"] = Field("both", description="test labels")
    masks: bool = Field(False, description="whether anomalous test images have masks")
    gray: int = Field(0, description="added to every pixel: another data set of the same shape")
    says: int | None = Field(None, description="side that the spec states, if it is to be wrong")
    overlap: bool = Field(False, description="whether a test id is a training id too")
    folder: str | None = Field(None, description="where training images are written as files")
    copies: int = Field(
        0, ge=0, description="training images after the first that are copies of it"
    )
    tiles: int = Field(1, ge=1, description="training images that are tiles of one photograph")
    test_tiles: int = Field(1, ge=1, description="the same of test images")


class Blobs:
    """Noisy ramps; anomalous ones have a bright square in the upper left quarter."""

    protocol = "toy"
    notices = ("blobs are no real images",)

    def __init__(self, options):
        self.options = options
        o = options
        self.spec = ImageSpec(o.channels, o.says or o.size, o.says or o.size)
        self.train = self.make_train()
        self.contaminants = self.split("odd", 2, o.contaminants) if o.contaminants else None
        self.test = self.make_test() if o.test else None

    def draw(self, seed, count, odd):
        o = self.options
        noise = np.random.default_rng(seed).normal(0, 12, (count, o.channels, o.size, o.size))
        pixels = 80 + o.gray + np.linspace(0, 60, o.size) + noise
        if odd:
            pixels[..., : o.size // 2, : o.size // 2] += 60
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def split(self, name, seed, count, odd=True):
        return ArraySplit(self.draw(seed, count, odd), [f"{name}/{i}" for i in range(count)])

    def make_train(self):
        o = self.options
        images, ids = self.draw(1, o.train, False), [f"train/{i}" for i in range(o.train)]
        images[1 : 1 + o.copies] = images[:1]
        parents = [f"photo/{i // o.tiles}" for i in range(o.train)]
        files = None
        if o.folder:
            names = parents if o.tiles > 1 else ids
            files = [str(Path(o.folder) / f"{name.replace('/', '-')}.png") for name in names]
            for path, image in zip(files, images, strict=True):
                if not Path(path).exists():
                    Image.fromarray(image[0]).save(path)
        return ArraySplit(images, ids, files=files, parents=parents if o.tiles > 1 else None)

    def make_test(self):
        o = self.options
        images = np.concatenate([self.draw(3, o.test, False), self.draw(4, o.test, True)])
        labels = np.repeat([0, 1], o.test)
        order = seeded_order(2 * o.test, "toy")
        images, labels = images[order], labels[order]
        mask = np.zeros((o.size, o.size), dtype=bool)
        mask[: o.size // 2, : o.size // 2] = True
        ids = [f"test/{i}" for i in range(2 * o.test)]
        if o.overlap:
            ids[0] = "train/0"
        if o.labels == "normal":
            images, labels, ids = images[labels == 0], labels[labels == 0], ids[: o.test]
        parents = [f"scene/{i // o.test_tiles}" for i in range(len(ids))]
        given = {"both": labels, "normal": labels, "none": None, "swapped": 1 - labels}[o.labels]
        return ArraySplit(
            images,
            ids,
            labels=given,
            kinds=["odd" if label else "plain" for label in labels],
            masks=dict.fromkeys(np.flatnonzero(labels), mask) if o.masks else None,
            parents=parents if o.test_tiles > 1 else None,
        )


@hookimpl
def anokit_backbones():
    fields = frozenset({"image", "latent", "image_hat", "latent_hat"})
    yield Component(
        name="linear",
        summary="Linear autoencoder",
        factory=Linear,
        options=LinearOptions,
        example={"images": 16},
        provides=fields,
        trips=frozenset({"image"}),
        weighs_images=True,
    )
    yield Component(
        name="unweighed",
        summary="The same, and says nothing of weighing images",
        factory=Linear,
        options=LinearOptions,
        example={"images": 16},
        provides=fields,
        trips=frozenset({"image"}),
    )
    yield Component(
        name="blank",
        trained=False,
        summary="Pixels as features",
        factory=Blank,
        options=BlankOptions,
        provides=frozenset({"features"}),
    )


@hookimpl
def anokit_encoder_losses():
    for name, start in (("shrink", "image"), ("dream", "latent")):
        yield Component(
            name=name,
            summary="Mean square of the latent",
            factory=Shrink,
            needs=frozenset({"latent"}),
            trip_from=start,
        )
    yield Component(
        name="judge",
        summary="Needs a critic",
        factory=Shrink,
        needs=frozenset({"critic"}),
        trip_from="image",
    )


@hookimpl
def anokit_scores():
    both = frozenset({"image", "image_hat"})
    yield Component(
        name="error", summary="Mean absolute residual", factory=Residual, needs=both, map_needs=both
    )
    yield Component(
        name="far",
        summary="Distance from the mean image",
        factory=Far,
        options=FarOptions,
        needs=frozenset({"image"}),
    )
    yield Component(
        name="typical",
        summary="Distance from the mean latent",
        factory=Typical,
        options=TypicalOptions,
        needs=frozenset({"latent"}),
    )
    yield Component(
        name="seen", summary="Needs features", factory=Seen, needs=frozenset({"features"})
    )
    yield Component(
        name="bad",
        summary="Goes wrong",
        factory=Bad,
        options=BadOptions,
        example={"how": "crowd"},
        needs=frozenset({"image"}),
    )


@hookimpl
def anokit_datasets():
    return [Component(name="blobs", summary="Noisy ramps", factory=Blobs, options=BlobOptions)]
