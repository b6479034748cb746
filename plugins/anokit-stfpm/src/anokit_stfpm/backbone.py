"""The backbone ``stfpm``: a student that predicts a frozen teacher's feature maps."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD

from anokit.errors import RecipeError
from anokit.nn import autocast, combine_scales, patch_distances, uses_bf16
from anokit.types import Phase, RoundTrip
from anokit_timm.folding import Folding
from anokit_timm.networks import TimmImages, build_network
from anokit_timm.pooling import join_maps, join_vectors, pool_map

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from torch import Tensor

    from anokit.types import Batch, EpochEnd, ImageSpec, WeightedLoss
    from anokit_stfpm.plugin import StfpmOptions


class Stfpm(TimmImages):
    """Teacher and student are one network of timm, cut off behind the deepest of the stages.

    The teacher has pretrained weights and never changes; its batch norms stay in evaluation mode
    whatever the mode of the backbone. The student begins at random weights and learns to give, at
    every position of every stage, the teacher's feature vector up to its length. Where it fails on
    a new image, the image is unlike those that it learnt from.

    With unit-length vectors t̂ and ŝ, the loss of a stage is the mean over positions of ½‖t̂ − ŝ‖²
    (equations 1 and 2), that of an image the sum over stages (equation 3), and the anomaly map the
    product over stages of the losses at the positions, each enlarged to the finest grid
    (equation 4). The authors' released code leaves out the ½, so that its steps are those of twice
    the learning rate and half the weight decay.

    Raises
    ------
    DataError
        Where images have neither one nor three channels.
    RecipeError
        Where timm has no such model, or the model cannot take what the options ask for.
    CheckpointError
        Where the weights cannot be had or do not fit.
    """

    least: Tensor

    def __init__(
        self,
        options: StfpmOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__(options, spec, "stfpm")
        self.options = options
        self.stages = options.stages
        self.teacher = self._build(options.weights).requires_grad_(False)
        self.student = self._build("random")
        self._taught, self._learnt = self._folding(self.teacher), self._folding(self.student)
        self.chosen: nn.Module | None = None
        if options.selection == "validation":
            self.chosen = copy.deepcopy(self.student).requires_grad_(False)
            self.register_buffer("least", torch.tensor(-1.0))  # no epoch has ended
        self._try_out()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the student; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def phases(self) -> Sequence[Phase]:
        """Return the one phase, in which the student learns."""
        options = self.options
        return [
            Phase(
                name="student",
                step=self._step,
                optimisers=self._begin,
                batch_size=options.batch_size,
                epochs=options.epochs,
                epoch_ended=None if self.chosen is None else self._choose,
            )
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Compare teacher and student on ``[B, C, H, W]``; fill just ``needs``.

        ``patches.stageK`` and ``patches_hat.stageK`` are the maps of teacher and student as they
        are. ``patches`` and ``patches_hat`` are those of all stages, of unit length in each, on the
        grid of the deepest one. ``features`` are the means over positions of the teacher's maps,
        each scaled to unit length, and then the whole.
        """
        self.check(images)
        fields = {"image": images} if "image" in needs else {}
        if asked := needs - {"image"}:
            parts = [self._compare(self.prepare(part), asked) for part in self.parts(images)]
            fields |= {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        scales = {name: fields.pop(name) for name in sorted(fields) if "." in name}
        return RoundTrip(**fields, extra=scales)

    def _compare(self, images: Tensor, asked: frozenset[str]) -> dict[str, Tensor]:
        """Return the fields of ``asked`` for prepared images; the student runs only for its own."""
        taught = self._maps(self._taught.network(), images)
        found = {f"patches.stage{k}": each for k, each in zip(self.stages, taught, strict=True)}
        if "features" in asked:
            found["features"] = join_vectors([pool_map(each, "mean") for each in taught])
        if "patches" in asked:
            found["patches"] = self._joined(taught)
        if asked - set(found):
            learnt = self._maps(self._learnt.network(), images)
            found |= {
                f"patches_hat.stage{k}": each for k, each in zip(self.stages, learnt, strict=True)
            }
            if "patches_hat" in asked:
                found["patches_hat"] = self._joined(learnt)
            if "anomaly_map" in asked:
                found["anomaly_map"] = combine_scales(_losses(taught, learnt), "product")
        return {name: value for name, value in found.items() if name in asked}

    def _joined(self, maps: Sequence[Tensor]) -> Tensor:
        grid = (maps[-1].shape[-2], maps[-1].shape[-1])
        return join_maps([functional.normalize(each, dim=1) for each in maps], grid)

    def _begin(self) -> dict[str, SGD]:
        options = self.options
        self._descent = SGD(
            self.student.parameters(),
            options.learning_rate,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
        )
        return {"student": self._descent}

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images = self.prepare(batch.images)
        with autocast(images.device, uses_bf16(images.device, self.options.precision)):
            with torch.no_grad():
                taught = self._maps(self._taught.network(), images)
            learnt = self._maps(self.student, images)
        pairs = zip(taught, learnt, strict=True)
        losses = _losses(*zip(*((t.float(), s.float()) for t, s in pairs), strict=True))
        each = torch.stack([loss.mean(dim=(1, 2)) for loss in losses])
        whole = each.sum(dim=0)
        self._descent.zero_grad(set_to_none=True)
        # What looks anomalous has a large loss; opposite is one that is small for it.
        torch.autograd.backward(batch.average(whole, 1 / whole))
        self._descent.step()
        found = {f"stage{k}": value for k, value in zip(self.stages, each.mean(dim=1), strict=True)}
        return {name: value.detach() for name, value in {"loss": whole.mean(), **found}.items()}

    def _choose(self, end: EpochEnd) -> Mapping[str, Tensor]:
        """Keep the student where its maps of held-out images are the smallest yet.

        Raises
        ------
        RecipeError
            Where no image is held out.
        """
        if self.chosen is None or not len(end.validation):
            raise RecipeError(
                "backbone 'stfpm': selection = 'validation' needs training images that are held "
                "out, got none; set validation = 0.2 under [training], or selection = 'last'"
            )
        needs = frozenset({"anomaly_map"})
        maps = [self.round_trip(images, needs).anomaly_map for images in end.validation]
        found = torch.cat([each.mean(dim=(1, 2)) for each in maps]).mean()
        if self.least < 0 or found < self.least:
            self.least.copy_(found)
            self.chosen.load_state_dict(self.student.state_dict())
        if end.last:
            self.student.load_state_dict(self.chosen.state_dict())
        return {"validation": found}

    def _build(self, weights: str) -> nn.Module:
        """Return the network, cut off behind the deepest stage."""
        network: Any = build_network(self.options.model, weights, self.size)
        try:
            network.prune_intermediate_layers(list(self.stages))
        except Exception as error:
            raise self._refusal(error) from error
        return cast("nn.Module", network.to(memory_format=torch.channels_last))

    def _folding(self, network: nn.Module) -> Folding:
        return Folding(network, self._maps, self.size)

    def _maps(self, network: Any, images: Tensor) -> list[Tensor]:
        """Return the feature maps ``[B, F, h, w]`` of prepared images, the finest first."""
        maps: list[Tensor] = network.forward_intermediates(
            images,
            indices=list(self.stages),
            output_fmt="NCHW",
            intermediates_only=True,
            stop_early=True,
        )
        return maps

    def _try_out(self) -> None:
        """Make one trip, so that a model that cannot do what the recipe asks says so at once."""
        spec = self.spec
        self.eval()
        try:
            with torch.no_grad():
                images = torch.zeros(1, spec.channels, spec.height, spec.width)
                self.round_trip(images, frozenset({"anomaly_map"}))
        except Exception as error:
            raise self._refusal(error) from error
        finally:
            self.train()

    def _refusal(self, error: Exception) -> RecipeError:
        return RecipeError(
            f"backbone 'stfpm': model {self.options.model!r} cannot take images of "
            f"{self.size[0]}×{self.size[1]} pixels with stages = {list(self.stages)}: "
            f"{type(error).__name__}: {error}. Set another input_size or other stages"
        )


def _losses(taught: Sequence[Tensor], learnt: Sequence[Tensor]) -> list[Tensor]:
    """Return ½‖t̂ − ŝ‖² at every position, by stage: ``[B, h, w]`` each."""
    return [patch_distances(t, s, "cosine") for t, s in zip(taught, learnt, strict=True)]
