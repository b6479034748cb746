from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit.types import ImageSpec
from anokit_datasets.options import Cifar10Options, DigitsOptions, KthOptions
from anokit_datasets.picture_options import ImageFolderOptions
from anokit_datasets.plugin import anokit_datasets

COMPONENTS = {component.name: component for component in anokit_datasets()}


def test_names_are_the_public_ones() -> None:
    assert list(COMPONENTS) == [
        "digits",
        "cifar10",
        "kth-cellvideos",
        "image-folder",
        "csv-manifest",
    ]


def test_describing_imports_no_torch() -> None:
    code = (
        "import sys; from anokit_datasets.plugin import anokit_datasets; anokit_datasets();"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMPONENTS)
def test_examples_are_valid_and_fields_described(name: str) -> None:
    component = COMPONENTS[name]
    component.options.model_validate(component.example)
    for field in component.options.model_fields.values():
        assert field.description


@pytest.mark.parametrize("name", COMPONENTS)
def test_factories_can_be_imported(name: str) -> None:
    assert callable(COMPONENTS[name].load())
    simulation = COMPONENTS[name].load_simulation()
    assert callable(simulation) == (name == "kth-cellvideos")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("digits", DigitsOptions(size=12), ImageSpec(1, 12, 12)),
        ("cifar10", Cifar10Options(size=16), ImageSpec(3, 16, 16)),
        ("kth-cellvideos", KthOptions(size=32), ImageSpec(1, 32, 32)),
        ("image-folder", ImageFolderOptions(root="x", size=20, channels=4), ImageSpec(4, 20, 20)),
        ("image-folder", ImageFolderOptions(root="x", size=20), None),
        ("image-folder", ImageFolderOptions(root="x", channels=1), None),
    ],
)
def test_image_spec_from_options(name: str, options: object, expected: ImageSpec | None) -> None:
    image_spec = COMPONENTS[name].image_spec
    assert image_spec is not None
    assert image_spec(options) == expected


@pytest.mark.parametrize(
    ("options", "wrong", "message"),
    [
        (DigitsOptions, {"normal": [10]}, "less than or equal to 9"),
        (DigitsOptions, {"normal": [1, 1]}, "listed twice"),
        (DigitsOptions, {"normal": []}, "at least 1"),
        (Cifar10Options, {"normal": ["car"]}, "'automobile'"),
        (Cifar10Options, {"normal": ["cat", "cat"]}, "listed twice"),
        (Cifar10Options, {"abnormal": ["cat"]}, "one-class-abnormal"),
        (Cifar10Options, {"protocol": "one-class-abnormal"}, "set abnormal"),
        (Cifar10Options, {"size": 33}, "Input should be 4, 8, 16, 32, 64 or 128"),
        (KthOptions, {"split": "cell"}, "'track' or 'detection'"),
        (ImageFolderOptions, {}, "got neither; set root"),
        (ImageFolderOptions, {"root": "x", "files": ["y"]}, "got both; remove one"),
        (ImageFolderOptions, {"files": []}, "at least 1"),
        (ImageFolderOptions, {"root": "x", "channels": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_options_are_told(options: type, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options.model_validate(wrong)


def test_options_survive_a_round_trip() -> None:
    for options in (
        Cifar10Options(protocol="one-class-abnormal", abnormal=("cat",)),
        Cifar10Options(),
        KthOptions(),
        DigitsOptions(normal=(1, 2)),
        ImageFolderOptions(files=("a.png", "b/*.jpg")),
    ):
        assert type(options).model_validate(options.model_dump(mode="json")) == options
