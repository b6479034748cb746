"""The backbone that this package offers, described without importing torch or timm."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from anokit.plugin import Component, hookimpl
from anokit_timm.options import NetworkOptions

BLOCK = re.compile(r"head|stage(?P<stage>0|[1-9][0-9]*)(-(?P<how>std|max))?")
"""A block of `features`: what is before the classifier, or a statistic of a stage's map."""


class TimmFeaturesOptions(NetworkOptions):
    """Options of ``timm-features``."""

    pooled: tuple[str, ...] = Field(
        default=("head",),
        min_length=1,
        description="Blocks of the vector `features`, joined in this order: 'head' = what the "
        "model's classifier would see; 'stageK' = the mean over the positions of stage K (counted "
        "as in patch_stages), 'stageK-std' their standard deviation, 'stageK-max' their maximum. "
        "One block stays as it is; of several each is scaled to unit length, and so is the whole.",
    )
    pool: Literal["model", "avg", "max", "avgmax"] = Field(
        default="model",
        description="How the last feature map becomes the block 'head': 'model' = as before the "
        "model's own classifier; else mean, maximum, or the mean of both over positions.",
    )
    patch_stages: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(),
        description="Stages (0 = the shallowest; blocks for transformers) whose maps make "
        "`patches`, brought to one grid and concatenated; empty: no patches.",
    )
    patch_stride: int | None = Field(
        default=None,
        ge=1,
        description="Pixels of the image that the model sees to a position of `patches`, each way, "
        "≥ 1: finer maps are averaged to that grid, coarser ones enlarged bilinearly; unset: the "
        "grid of the shallowest of patch_stages.",
    )
    neighbourhood: Literal[1, 3, 5] = Field(
        default=1,
        description="Side in positions of the square that each stage's map is averaged over before "
        "the maps are brought to one grid; at a border over the positions that are there. 1: not "
        "at all; 3 as in PatchCore.",
    )

    @model_validator(mode="after")
    def _check_blocks(self) -> TimmFeaturesOptions:
        for block in self.pooled:
            if not BLOCK.fullmatch(block):
                raise ValueError(
                    f"pooled names {block!r}: expected 'head', or 'stageK', 'stageK-std' or "
                    "'stageK-max' with the number of a stage for K"
                )
        if len(set(self.pooled)) < len(self.pooled):
            raise ValueError(f"pooled names a block twice: {list(self.pooled)}")
        return self

    @model_validator(mode="after")
    def _check_patches(self) -> TimmFeaturesOptions:
        if len(set(self.patch_stages)) < len(self.patch_stages):
            raise ValueError(f"patch_stages names a stage twice: {list(self.patch_stages)}")
        for name, given in (
            ("patch_stride", self.patch_stride is not None),
            ("neighbourhood", self.neighbourhood > 1),
        ):
            if given and not self.patch_stages:
                raise ValueError(
                    f"{name} = {getattr(self, name)} without patch_stages: no patches are made; "
                    f"name stages, such as patch_stages = [2, 3], or remove {name}"
                )
        return self


def _provides(options: TimmFeaturesOptions) -> frozenset[str]:
    """Return the fields that the backbone fills: patches only where stages are given."""
    return frozenset({"image", "features"} | ({"patches"} if options.patch_stages else set()))


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer the feature extractor."""
    yield Component(
        name="timm-features",
        trained=False,
        summary="Any image model of timm as a frozen feature extractor: a vector and patches",
        factory="anokit_timm.backbone:TimmFeatures",
        options=TimmFeaturesOptions,
        example={
            "model": "test_efficientnet",
            "weights": "random",
            "input_size": 32,
            "pooled": ["head", "stage2"],
            "patch_stages": [1, 2],
        },
        provides=_provides,
        restored={"weights": "random"},  # those of a finished run are in its model.safetensors
        reference="Wightman, PyTorch Image Models, doi:10.5281/zenodo.4414861; features of "
        "pretrained networks: Bergman, Cohen, Hoshen, Deep Nearest Neighbor Anomaly Detection "
        "(2020); patches of several stages: Roth et al., PatchCore (CVPR 2022)",
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
