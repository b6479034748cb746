"""What a backbone, an encoder loss and a score have to have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from anokit.types.models import Phase, RoundTrip

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Backbone(Protocol):
    """A model that reconstructs, encodes or describes images: an ``nn.Module`` with two methods.

    Factories are called as ``factory(options, spec, encoder_losses)`` with the dataset's
    `ImageSpec` and the recipe's `WeightedLoss` entries. Two more methods and two attributes are
    used where a backbone has them:

    ``samples(count, generator) -> [count, C, H, W]``
        generated images for the report, comparable over time for an equal generator;
    ``warnings(metrics) -> list of sentences``
        what looks wrong in a logged step (means of the step metrics since the last log);
    ``batch_dependence``
        a phrase where an option makes scores depend on the batch ("minibatch stddev over the
        batch, as published"), else empty; the phrase then stands in every line of the result;
    ``progress``
        None in a backbone whose round trips are long, such as searches. For the length of one trip
        the core puts a callable there, which takes the share of it that was just done; the shares
        sum to 1.

    Examples
    --------
    >>> import torch
    >>> from anokit import RoundTrip
    >>> from anokit.types import Backbone
    >>> class Means(torch.nn.Module):
    ...     def __init__(self, options, spec, encoder_losses):
    ...         super().__init__()
    ...
    ...     def phases(self):
    ...         return []
    ...
    ...     def round_trip(self, images, needs):
    ...         return RoundTrip(image=images, features=images.mean(dim=(2, 3)))
    >>> isinstance(Means(None, None, ()), Backbone)
    True
    """

    def phases(self) -> Sequence[Phase]:
        """Return what to train, in order; nothing for a backbone that is never trained."""
        ...

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Make a trip from images ``[B, C, H, W]`` and fill just the fields in ``needs``.

        Called in evaluation mode, with float32 images, and with gradients, autocast and TF32 off;
        fields may have any layout in memory, since the core makes them contiguous float32. No field
        of one image may depend on the other images of the batch.
        """
        ...


class EncoderLoss(Protocol):
    """A term that trains the encoder; built as ``factory(options)``.

    Examples
    --------
    >>> from anokit.testing import random_trip
    >>> class Residual:
    ...     def __init__(self, options):
    ...         pass
    ...
    ...     def __call__(self, trip):
    ...         return (trip.image - trip.image_hat).square().mean()
    >>> Residual(options=None)(random_trip(4)).shape
    torch.Size([])
    """

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return a scalar: a mean over elements unless the formula says otherwise."""
        ...


class Score(Protocol):
    """An anomaly score; built as ``factory(options)``.

    Methods that are used where a score has them:

    ``map(trip) -> [B, H, W]``
        per-pixel anomaly;
    ``fit(trips)``
        learn from the unlabelled training set: a re-iterable of round trips in training order with
        the fields in ``needs``. Such a score is an ``nn.Module`` whose state is buffers (registered
        empty in the constructor, under the same names; a file's shapes win on loading), and it may
        have an attribute ``max_fit_images``: a larger training set is cut to a seeded subset;
    ``leave_one_out(trip, places) -> [B]``
        of a fitted score: scores of images that it was fitted on, each as if that image had not
        been among them; ``places`` (int64 ``[B]``) are their places in the order of fitting.
        Without it the core fits several times, each time without some of the images;
    ``refit(trips)``
        of a fitted score without ``leave_one_out``: as ``fit``, on some of the images that it was
        fitted on, but with what that chose by itself, such as a bandwidth. Scores of the parts are
        then of the scale of the whole, whose threshold they become;
    ``warnings() -> list of sentences``
        of a fitted score: what should worry the user about its fit, such as too few images.

    Examples
    --------
    >>> from anokit.testing import random_trip
    >>> class Residual:
    ...     def __init__(self, options):
    ...         pass
    ...
    ...     def __call__(self, trip):
    ...         return (trip.image - trip.image_hat).square().mean(dim=(1, 2, 3))
    >>> Residual(options=None)(random_trip(4)).shape
    torch.Size([4])
    """

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return ``[B]`` float32, higher = more anomalous."""
        ...


class MappedScore(Score, Protocol):
    """A score that says where in the image the anomaly is.

    Examples
    --------
    >>> from anokit.testing import random_trip
    >>> class Residual:
    ...     def __call__(self, trip):
    ...         return self.map(trip).mean(dim=(1, 2))
    ...
    ...     def map(self, trip):
    ...         return (trip.image - trip.image_hat).square().mean(dim=1)
    >>> Residual().map(random_trip(4)).shape
    torch.Size([4, 16, 16])
    """

    def map(self, trip: RoundTrip) -> Tensor:
        """Return ``[B, H, W]`` float32, higher = more anomalous."""
        ...


class FittedScore(Score, Protocol):
    """A score that learns from the unlabelled training set.

    Examples
    --------
    >>> import torch
    >>> from anokit.testing import random_trip
    >>> class FromMean(torch.nn.Module):
    ...     def __init__(self, options):
    ...         super().__init__()
    ...         self.register_buffer("mean", torch.empty(0))
    ...
    ...     def fit(self, trips):
    ...         self.mean = torch.cat([trip.features for trip in trips]).mean(dim=0)
    ...
    ...     def forward(self, trip):
    ...         return (trip.features - self.mean).norm(dim=1)
    >>> score = FromMean(options=None)
    >>> score.fit([random_trip(10, seed=1), random_trip(10, seed=2)])
    >>> score(random_trip(4)).shape
    torch.Size([4])
    """

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Learn from round trips of training images; the iterable may be walked again."""
        ...
