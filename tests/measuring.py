"""A one-file plugin as a stranger would write it: it measures the training set, then chooses.

Its first phase is one of calibration: it has no optimisers and only measures. Its second one keeps
the weights with the smallest error on images that no step was shown.
"""

import torch
from pydantic import Field
from torch import nn

from anokit import Component, EpochEnd, Options, Phase, RoundTrip, hookimpl


class MeasuringOptions(Options):
    """Options of ``measuring``."""

    epochs: float = Field(3.0, gt=0, description="passes over the training images")
    learning_rate: float = Field(0.01, gt=0, description="step size of SGD")
    uphill_after: float = Field(1.0, description="share of training after which steps do harm")
    returns: str = Field("metrics", description="what the hook returns: metrics, nothing or words")


class Measuring(nn.Module):
    """A bottleneck on standardised pixels; what is measured or chosen is kept in buffers."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__()
        self.options = options
        size = spec.channels * spec.height * spec.width
        self.network = nn.Sequential(nn.Linear(size, 3), nn.Linear(3, size))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("least", torch.tensor(-1.0))  # no epoch yet
        self.register_buffer("usual", torch.zeros(size))
        for name, value in list(self.network.state_dict().items()):
            self.register_buffer(f"best_{name.replace('.', '_')}", value.clone())

    def phases(self):
        yield Phase(
            name="measure images",
            step=self.measure,
            optimisers=dict,  # nothing is optimised
            batch_size=6,
            epochs=1,
        )
        yield Phase(
            name="train",
            step=self.descend,
            optimisers=self.begin,
            batch_size=6,
            epochs=self.options.epochs,
            epoch_ended=self.look,
        )

    def measure(self, batch):
        values = batch.images.flatten(1).double()
        self.count += len(values)
        self.total += values.sum(dim=0)
        self.squares += values.square().sum(dim=0)
        return {}

    def standard(self, images):
        count = self.count.clamp_min(1)  # untrained it is tried out as well
        mean = self.total / count
        spread = (self.squares / count - mean.square()).clamp_min(1e-6).sqrt()
        return ((images.flatten(1) - mean) / spread).float()

    def begin(self):
        self.descent = torch.optim.SGD(self.network.parameters(), self.options.learning_rate)
        return {"sgd": self.descent}

    def error(self, images):
        values = self.standard(images)
        return (values - self.network(values)).square()

    def descend(self, batch):
        loss = self.error(batch.images).mean()
        self.descent.zero_grad()
        (loss if batch.progress < self.options.uphill_after else -loss).backward()
        self.descent.step()
        return {"loss": loss.detach()}

    def look(self, end: EpochEnd):
        if not len(end.validation):
            return None
        found = torch.cat([self.error(images).mean(dim=1) for images in end.validation]).mean()
        if self.least < 0 or found < self.least:
            self.least.copy_(found)
            for name, value in self.network.state_dict().items():
                getattr(self, f"best_{name.replace('.', '_')}").copy_(value)
        if end.last:
            for name, value in self.network.state_dict().items():
                value.copy_(getattr(self, f"best_{name.replace('.', '_')}"))
            errors = torch.cat([self.error(images) for images in end.train])
            self.usual.copy_(errors.mean(dim=0))
        if self.options.returns == "words":
            return {"validation": "small"}
        return {"validation": found} if self.options.returns == "metrics" else None

    def round_trip(self, images, needs):
        if "anomaly_map" not in needs:
            return RoundTrip(image=images)
        errors = self.error(images) - self.usual
        return RoundTrip(image=images, anomaly_map=errors.view_as(images).mean(dim=1))


class Largest:
    """The largest value of the backbone's map."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.anomaly_map.flatten(1).amax(dim=1)


@hookimpl
def anokit_backbones():
    yield Component(
        name="measuring",
        summary="Measures the training set, then keeps the best weights on what it holds out",
        factory=Measuring,
        options=MeasuringOptions,
        provides=frozenset({"image", "anomaly_map"}),
    )


@hookimpl
def anokit_scores():
    yield Component(
        name="largest",
        summary="Largest value of the map",
        factory=Largest,
        needs=frozenset({"anomaly_map"}),
    )
