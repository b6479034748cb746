"""The pages of the public API say all that there is to say, and their examples are so."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from anokit.authoring import api_page, sources, workspace
from anokit.authoring.public_api import MODULES
from anokit.cli.app import main

OTHERS = [package for package in workspace.packages(Path(__file__).parent) if package.public]
NAMES = [
    (place, name)
    for places in (MODULES, *(package.public for package in OTHERS))
    for place in places
    for name in sources.names(place)
    if api_page.home(sources.find(place, name), places) == place
]
PAGES = {
    "api.md": api_page.api_page(OTHERS),
    **{api_page.package_file(package): api_page.package_page(package) for package in OTHERS},
}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
RUN = """
[dataset]
use = "digits"
normal = [0]

[backbone]
use = "timm-features"
model = "test_efficientnet"
weights = "random"
input_size = 32

[[scores]]
use = "knn"

[evaluation]
resamples = 20
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what examples read: pictures, a mask, and a finished run."""
    made = tmp_path_factory.mktemp("examples")
    (made / "photos").mkdir()
    (made / "masks").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (6, 4), (10, 20, 30)).save(made / "photos" / name)
    (made / "photos" / "notes.txt").write_text("Taken in May.")
    tifffile.imwrite(made / "photos" / "scan.tif", np.zeros((4, 6), np.uint16))
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 2:4] = 255
    Image.fromarray(mask).save(made / "masks" / "a.png")
    return made


@pytest.fixture(scope="module")
def with_run(folder):
    """The same with a finished run, which needs no training."""
    recipe = folder / "digits.toml"
    recipe.write_text(RUN, encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["run", str(recipe), "--out", str(folder / "runs" / "digits"), "--device", "cpu"])
    assert caught.value.code == 0
    return folder


@pytest.mark.parametrize(("place", "name"), NAMES, ids=[".".join(pair) for pair in NAMES])
def test_every_public_name_has_an_example_that_is_so(place, name, request, monkeypatch):
    text = sources.examples(sources.find(place, name))
    parsed = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert parsed.examples, "its docstring has no section Examples"
    monkeypatch.chdir(request.getfixturevalue("with_run" if '"runs/' in text else "folder"))
    said = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(parsed, out=said.append)
    assert not result.failed, "".join(said)


def test_an_example_that_is_not_so_is_found():
    parsed = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "sum", None, 0)
    assert doctest.DocTestRunner(optionflags=FLAGS).run(parsed, out=lambda text: None).failed


@pytest.mark.parametrize(("place", "name"), NAMES, ids=[".".join(pair) for pair in NAMES])
def test_fields_say_what_they_are(place, name):
    found = sources.find(place, name)
    assert sources.first_sentence(found)
    if found.is_class:
        silent = [one.name for one in sources.fields(found) if not api_page.field_row(one)[3]]
        assert not silent
        assert all(sources.first_sentence(method) for method in sources.methods(found))


@pytest.mark.parametrize("page", PAGES)
def test_headings_are_links_that_lead_to_one_place(page):
    heads = re.findall(r"^#+ (.+)$", re.sub(r"(?s)```.*?```", "", PAGES[page]), re.M)
    anchors = [api_page.anchor(head) for head in heads]
    assert len(anchors) == len(set(anchors))
    linked = re.findall(r"\]\(#([^)]+)\)", PAGES[page])
    assert linked
    assert set(linked) <= set(anchors)


def test_the_page_has_signature_fields_errors_and_example():
    text = api_page.api_page()
    entry = text.partition("\n### `ArraySplit`\n")[2].partition("\n### ")[0]
    assert "    labels: Sequence[int] | None = None,\n" in entry
    assert "| `images` | uint8 `[N, C, H, W]`:" in entry
    assert "| `DataError` | Where type, shape or lengths do not fit" in entry
    assert ">>> test = ArraySplit(images," in entry
    trip = text.partition("\n### `RoundTrip`\n")[2].partition("\n### ")[0]
    assert "| `latent` | `Tensor` | `None` | `[B, Z]` |" in trip
    assert "image_hat  = G(latent)" in trip
    options = text.partition("\n### `FittedOptions`\n")[2].partition("\n### ")[0]
    assert "| `seed` | `int` | `0` | Seed of every random choice in fitting, ≥ 0. |" in options
