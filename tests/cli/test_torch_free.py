"""What only describes components imports none of the heavy libraries."""

import json
from pathlib import Path

import pytest
from PIL import Image

HEAVY = {"torch", "timm", "sklearn", "torchvision", "scipy", "matplotlib", "PIL", "numpy.linalg"}

CODE = """
import json, sys
from anokit.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print("\\n@@" + json.dumps([code, sorted(sys.modules)]))
"""


def loaded(result):
    """Return what a process printed, its exit code and the modules that it held at its end."""
    assert "\n@@" in result.stdout, result.stderr
    printed, _, rest = result.stdout.rpartition("\n@@")
    code, modules = json.loads(rest)
    return printed, code, set(modules)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "list-plugins"),
        (["run", "--help"], "--resume"),
        (["explain", "--help"], "--score"),
        (["figures", "--help"], "--queries"),
        (["try", "--help"], "--open"),
        (["--version"], "anokit 0."),
        (["list-plugins"], "lr"),
        (["list-plugins", "--json"], '"problems"'),
        (["recipes"], "quickstart"),
        (["recipes", "show", "quickstart"], "[backbone]"),
        (["check", "quickstart"], "quickstart: ok"),
        (["describe", "score", "ln"], "equation"),
        (["describe", "backbone", "pgan"], "max_channels"),
    ],
    ids=str,
)
def test_describing_imports_nothing_heavy(python, arguments, expected):
    printed, code, modules = loaded(python("-c", CODE, *arguments, plugins=None))
    assert code == 0
    assert expected in printed
    assert not modules & HEAVY


def test_checking_all_recipes_imports_nothing_heavy(python, repository):
    recipes = sorted((repository / "recipes").glob("*.toml"))
    printed, code, modules = loaded(python("-c", CODE, "check", *recipes, plugins=None))
    assert code == 0
    assert printed.count(": ok") == len(recipes) > 0
    assert not modules & HEAVY


def test_importing_anokit_is_cheap_and_load_is_there_on_demand(python):
    code = (
        "import sys, anokit; assert not {'torch', 'numpy', 'rich'} & set(sys.modules); "
        "anokit.load; assert 'torch' in sys.modules; "
        "[getattr(anokit, name) for name in anokit.__all__]"
    )
    result = python("-c", code)
    assert result.returncode == 0, result.stderr


def test_scoring_new_images_waits_for_neither_plots_nor_statistics(python, finished, tmp_path):
    Image.new("L", (8, 8), 90).save(tmp_path / "a.png")
    toys = Path(__file__).parents[1] / "toys.py"
    arguments = ["score", finished, "a.png", "--plugin", toys]
    _, code, modules = loaded(python("-c", CODE, *arguments))
    assert code == 0
    assert not modules & {"matplotlib", "scipy.stats", "sklearn"}


def test_an_unknown_attribute_is_an_attribute_error():
    import anokit

    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = anokit.laod
