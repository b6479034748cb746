"""What a command writes to is looked at before it works, in every command alike."""

import pytest

from anokit.errors import UsageError
from anokit.store.targets import check_file, check_folder

FILES = [
    "score {run} {data} --out",
    "suspects {run} --write-exclude",
    "compare {run} {run} --json",
    "compare {run} {run} --html",
    "table {run} --out",
    "figures {run} --json",
    "sweep {run} --bundle --out",
]
FOLDERS = [
    "run {recipe} --out",
    "score {run} {data} --maps",
    "suspects {run} --out",
    "figures {run} --out",
    "new-plugin acme-x --kind score --out",
]


@pytest.fixture
def refused(anokit, toykit, recipe_file, tmp_path, monkeypatch):
    """Run a command with a target, which must be refused with nothing read: there is no run."""
    from anokit.runs import finished, gathering, suspects

    def never(*_args, **_options):
        raise AssertionError("work was begun")

    monkeypatch.setattr(finished, "open_run", never)
    monkeypatch.setattr(suspects, "open_run", never)
    monkeypatch.setattr(gathering, "find_runs", never)
    (tmp_path / "data").mkdir()
    places = {"run": tmp_path / "run", "data": tmp_path / "data", "recipe": recipe_file()}

    def call(command, target):
        arguments = [text.format_map(places) for text in command.split()]
        return (toykit if arguments[0] == "run" else anokit)(*arguments, target)

    return call


@pytest.mark.parametrize("command", FILES)
@pytest.mark.parametrize("place", ["folder", "file/x.csv", "missing/x.csv"])
def test_a_file_that_cannot_be_written_is_refused_at_once(command, place, refused, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    found = refused(command, tmp_path / place)
    assert found.code == 2, found.err
    assert str(tmp_path / place) in found.err
    assert command.split()[-1] in found.err
    assert (tmp_path / "file").read_bytes() == b""


def test_suspects_looks_at_its_own_folder_too(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "suspects").touch()
    found = refused("suspects --device cpu", tmp_path / "run")
    assert (found.code, f"--out {tmp_path}/run/suspects: is a file" in found.err) == (2, True)


@pytest.mark.parametrize("command", FOLDERS)
@pytest.mark.parametrize("place", ["file", "file/deeper"])
def test_a_folder_that_cannot_be_made_is_refused_at_once(command, place, refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    found = refused(command, tmp_path / place)
    assert found.code == 2, found.err
    assert str(tmp_path / place) in found.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_lets_nobody_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("anokit.store.targets.os.access", lambda *_: False)
    for check, path in ((check_file, tmp_path / "x"), (check_folder, tmp_path / "x" / "y")):
        with pytest.raises(UsageError, match=r"--out .*lets this user not write; change its"):
            check("--out", path)


def test_what_can_be_written_is_let_pass(tmp_path):
    (tmp_path / "x").touch()
    check_file("--out", tmp_path / "x")
    check_folder("--out", tmp_path / "a" / "b")
    check_folder("--out", tmp_path)


@pytest.fixture
def beside(tmp_path):
    """What marks a directory as a run's."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("resolved.json", "split.json"):
        (run / name).write_text("{}")
    return run


@pytest.mark.parametrize("command", FILES[:-1])
@pytest.mark.parametrize("name", ["training_scores.csv", "results.json", "exclude.txt", "mine.py"])
def test_no_command_writes_over_a_file_of_a_run(command, name, refused, beside):
    """A table of `score` looks like training_scores.csv; a list in exclude.txt changes the data."""
    found = refused(command, beside / name)
    assert found.code == 2, found.err
    assert f"is {name} of the run run itself" in found.err
    assert not (beside / name).exists() or (beside / name).read_text() == "{}"


@pytest.mark.parametrize("command", FOLDERS[1:4])
@pytest.mark.parametrize("name", ["overlays", "scores"])
def test_no_command_writes_over_a_folder_of_a_run(command, name, refused, beside):
    found = refused(command, beside / name)
    assert found.code == 2, found.err
    assert f"is {name} of the run run itself" in found.err


def test_no_recipe_is_copied_over_that_of_a_run(anokit, beside):
    target = beside / "recipe.toml"
    target.write_text("own")
    found = anokit("recipes", "copy", "quickstart", target, "--force")
    assert (found.code, "is recipe.toml of the run run itself" in found.err) == (2, True)
    assert target.read_text() == "own"


def test_other_names_in_a_run_are_free(beside):
    check_file("--out", beside / "new.csv")
    check_folder("--out", beside / "suspects")
    check_folder("--out", beside / "figures")
    check_file("--out", beside.parent / "results.json")
