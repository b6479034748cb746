"""The backbone that this package offers, described without importing torch or timm."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from anokit.plugin import Component, hookimpl
from anokit_timm.options import NetworkOptions

PAPER = (
    "Wang, Han, Ding, Huang, Student-Teacher Feature Pyramid Matching for Anomaly Detection "
    "(BMVC 2021), equations 1 to 4"
)


class StfpmOptions(NetworkOptions):
    """Options of ``stfpm``."""

    stages: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(1, 2, 3),
        min_length=1,
        description="Stages of the network whose maps the student learns to predict, counted as in "
        "patch_stages of timm-features; published: the three with 4, 8 and 16 pixels to a "
        "position, which are 1, 2, 3 of a ResNet and of EfficientNet-lite.",
    )
    batch_size: int = Field(default=32, ge=2, description="Images per step, ≥ 2; published: 32.")
    epochs: float = Field(
        default=100, gt=0, description="Passes over the training set, > 0; published: 100."
    )
    learning_rate: float = Field(
        default=0.4, gt=0, description="Step size of SGD, > 0; published: 0.4."
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="Momentum of SGD, in [0, 1); published: 0.9."
    )
    weight_decay: float = Field(
        default=1e-4, ge=0, description="λ of λ·w, added to the gradient, ≥ 0; published: 1e-4."
    )
    selection: Literal["last", "validation"] = Field(
        default="last",
        description="Weights of the student that are kept: 'last' = those after the last step; "
        "'validation' = those of the epoch with the smallest mean anomaly map on the training "
        "images that [training] validation holds out, as in the released code, which holds out a "
        "fifth. No label is read.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description=(
            "Arithmetic of training: 'bf16' = bfloat16 autocast, losses in float32; 'auto' = bf16 "
            "on CUDA, else fp32. Scores are always computed in fp32."
        ),
    )

    @field_validator("stages")
    @classmethod
    def _check_stages(cls, stages: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(stages)) < len(stages):
            raise ValueError(f"stages names a stage twice: {list(stages)}")
        return tuple(sorted(stages))


def _provides(options: StfpmOptions) -> frozenset[str]:
    """Return the fields that the backbone fills: two for every scale among them."""
    scales = {f"{field}.stage{k}" for field in ("patches", "patches_hat") for k in options.stages}
    return frozenset({"image", "features", "patches", "patches_hat", "anomaly_map"} | scales)


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer the student and its teacher."""
    yield Component(
        name="stfpm",
        summary="A student that learns a frozen timm network's feature maps; gives anomaly maps",
        factory="anokit_stfpm.backbone:Stfpm",
        options=StfpmOptions,
        example={
            "model": "test_efficientnet",
            "weights": "random",
            "input_size": 32,
            "stages": [1, 2],
            "batch_size": 4,
            "epochs": 2,
        },
        provides=_provides,
        weighs_images=True,
        restored={"weights": "random"},  # those of a finished run are in its model.safetensors
        reference=PAPER,
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
