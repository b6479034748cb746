"""The backbone that is none."""

import torch

from anokit.types import Backbone, ImageSpec
from anokit_pixels.plugin import anokit_backbones


def test_pixels_hands_images_on_and_has_nothing_to_train():
    (component,) = anokit_backbones()
    backbone = component.load()(component.options(), ImageSpec(1, 4, 4), ())
    images = torch.rand(2, 1, 4, 4)
    assert isinstance(backbone, Backbone)
    assert not list(backbone.phases())
    assert not backbone.state_dict()
    assert backbone.round_trip(images, frozenset({"image"})).image is images
