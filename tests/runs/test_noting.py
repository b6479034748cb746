"""What a component changes of the process is told where all else of a command is, by every one."""

from pathlib import Path

import pytest
from PIL import Image

HOSTILE = Path(__file__).parents[1] / "hostile.py"


@pytest.fixture
def run(toykit, recipe_file, tmp_path):
    """A finished run whose first score draws from NumPy's generator."""
    changes = ("name=drawing", "use=hostile/hostile", "how=numpy")
    settings = [f"scores.0.{change}" for change in changes]
    settings.append("scores.1.terms.error.use=toys/error")
    path = recipe_file("backbone.images=8", *settings)
    done = toykit("run", path, "--plugin", HOSTILE, "--device", "cpu", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    return tmp_path / "run"


TOLD = "changed NumPy's random generator while scoring"
COMMANDS = {
    "score": ("score", "RUN", "PICTURE"),
    "explain": ("explain", "RUN", "--score", "drawing"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_a_warning_of_the_command(command, run, toykit, tmp_path, recwarn):
    Image.new("L", (8, 8), 90).save(tmp_path / "grey.png")
    words = [{"RUN": run, "PICTURE": tmp_path / "grey.png"}.get(w, w) for w in COMMANDS[command]]
    done = toykit(*words, "--plugin", HOSTILE, "--device", "cpu")
    assert done.code == 0, done.err
    (told,) = (line for line in done.out.splitlines() if TOLD in line)
    assert told.startswith("warning: score 'hostile'")
    assert not done.err
    assert not [one for one in recwarn if "changed" in str(one.message)]
