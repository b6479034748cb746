"""Watchers of plugins: what they are told, and that nothing they do reaches the run."""

import json
import textwrap
import threading
import time

import pytest

from anokit.errors import UsageError
from anokit.registry.lookup import Registry
from anokit.runs import watcher_thread, watchers
from anokit.runs.watchers import choose, watched
from anokit.store.tensors import load_tensors
from anokit.watching import Watcher

PLUGIN = '''
"""A watcher that writes down what it is told, and misbehaves where it is asked to."""

import json
import sys
import time
from pathlib import Path

from pydantic import Field

from anokit import Component, Options, Watcher, hookimpl


class NotesOptions(Options):
    """Options of `notes`."""

    file: str = Field("notes.jsonl", description="Where to write.")
    fail: str = Field("", description="Method that raises.")
    sleep: float = Field(0, ge=0, description="Seconds that every call takes.")


class Notes(Watcher):
    def __init__(self, options):
        self.options = options
        if options.fail == "built":
            raise ValueError("never born")

    def note(self, what, *more):
        time.sleep(self.options.sleep)
        if self.options.fail == what:
            raise ValueError(f"cannot stand\\n{what}")
        with Path(self.options.file).open("a") as file:
            file.write(json.dumps([what, *more]) + "\\n")

    def begun(self, directory, recipe, kept):
        there = (directory / "resolved.json").exists()
        recipe["seed"] = -1
        self.note("begun", str(directory), sorted(recipe), kept, there)
        return {"times": kept.get("times", 0) + 1}

    def finished(self, directory, results):
        self.note("finished", [row["name"] for row in results["rows"]])
        assert (directory / "report.html").exists()
        results.clear()

    def stopped(self, why, *, interrupted):
        self.note("stopped", why, interrupted)

    def notice(self, text):
        self.note("notice", text)

    def training(self, total):
        self.note("training", total)

    def phase(self, phase, number, of, steps, done, shown):
        self.note("phase", phase.name, number, of, sorted(phase.optimisers()), done)

    def step(self, images, seconds):
        self.note("step", images)

    def metrics(self, line):
        self.note("metrics", line["images"])
        line.clear()

    def track(self, what, total):
        self.note("track", what, total)
        return lambda count: self.note("advance", what, count)

    def done(self):
        self.note("done")


class Loud(Watcher):
    def __init__(self, options):
        print("hello from outer space")

    def metrics(self, line):
        print("first line\\nsecond line", file=sys.stderr)


@hookimpl
def anokit_watchers():
    yield Component(name="notes", summary="Notes", factory=Notes, options=NotesOptions)
    yield Component(name="loud", summary="Prints", factory=Loud)
    yield Component(name="absent", summary="Not there", factory="anokit_nowhere.watch:It")
    yield Component(name="number", summary="No watcher", factory=lambda options: 3)
    yield Component(name="quits", summary="Leaves", factory=lambda options: sys.exit(3))
'''


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "watching.py"
    path.write_text(textwrap.dedent(PLUGIN))
    return path


@pytest.fixture
def run(toykit, recipe_file, plugin, tmp_path, monkeypatch):
    """Run the toys with further arguments in a directory of that name."""
    monkeypatch.delenv("ANOKIT_WATCH", raising=False)
    monkeypatch.chdir(tmp_path)

    def start(name, *arguments, settings=()):
        words = ["run", recipe_file(*settings), "--plugin", plugin, *arguments]
        return toykit(*words, *([] if "--resume" in arguments else ["--out", tmp_path / name]))

    return start


def notes(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def bits(directory):
    """Return everything of a run that is a result."""
    results = json.loads((directory / "results.json").read_text())
    for row in results["rows"]:
        row.pop("ms_per_image")
    tables = [(directory / name).read_text() for name in ("scores.csv", "training_scores.csv")]
    weights = {
        name: t.tolist() for name, t in load_tensors(directory / "model.safetensors").items()
    }
    return results, tables, weights


def test_a_watcher_is_told_all_and_changes_no_bit(run, tmp_path):
    plain = run("plain")
    seen = run("seen", "--watch", "notes", "--watch", "loud")
    assert plain.code == seen.code == 0
    assert bits(tmp_path / "plain") == bits(tmp_path / "seen")
    told = notes(tmp_path / "notes.jsonl")
    kinds = [line[0] for line in told]
    begun, finished = told[kinds.index("begun")], told[-1]
    assert begun[1] == str(tmp_path / "seen")
    assert {"backbone", "scores", "quick", "seed"} <= set(begun[2])
    assert begun[3:] == [{}, True]
    assert finished == ["finished", ["error", "sum", "far"]]
    training = kinds.index("training")
    assert told[training][1] == 192 == sum(line[1] for line in told if line[0] == "step")
    assert [line[1:] for line in told if line[0] == "phase"] == [
        ["half", 1, 2, [], 0],
        ["whole", 2, 2, [], 0],
    ]
    lines = (tmp_path / "seen" / "metrics.jsonl").read_text().splitlines()
    shown = [json.loads(line)["images"] for line in lines]
    assert [line[1] for line in told if line[0] == "metrics"] == shown
    assert ["track", "scoring test images", 40] in told
    advances = [line[2] for line in told if line[:2] == ["advance", "scoring test images"]]
    assert sum(advances) == pytest.approx(40)
    assert not (tmp_path / "plain" / "watch-notes.json").exists()


def test_what_a_watcher_prints_is_told_in_one_line_and_not_shown(run):
    done = run("loud", "--watch", "loud")
    text = " ".join(f"{done.out} {done.err}".split())
    said = "watcher 'loud' of watching sha256:"
    assert text.count(said) == 1
    assert text.count("prints, which is not shown: hello from outer space") == 1
    assert "second line" not in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["notes.fail=built"], "failed while being built: ValueError: never born"),
        (["notes.fail=begun"], "failed while being told of the beginning: ValueError: cannot st"),
        (["notes.fail=metrics"], "told of metrics: ValueError: cannot stand metrics; the run goes"),
        (["notes.fail=finished"], "failed while being told of the results: ValueError"),
        (["absent"], "ModuleNotFoundError: No module named 'anokit_nowhere'; the run goes on"),
        (["number"], "TypeError: got a int, expected an anokit.Watcher"),
        (["quits"], "failed while being built: SystemExit: 3"),
    ],
)
def test_a_watcher_that_fails_is_blamed_once_and_the_run_goes_on(
    run, tmp_path, arguments, expected
):
    done = run("run", "--watch", *arguments)
    assert done.code == 0
    assert (tmp_path / "run" / "results.json").exists()
    text = " ".join(done.out.split())
    assert expected in text
    name = arguments[0].partition(".")[0]
    assert text.count(f"warning: watcher {name!r} of watching sha256:") == 1
    assert "Traceback" not in done.out + done.err


def test_one_that_fails_costs_nobody_else_anything(run, tmp_path):
    assert run("run", "--watch", "absent", "--watch", "notes").code == 0
    assert notes(tmp_path / "notes.jsonl")[-1][0] == "finished"


def test_a_resumed_run_gives_back_what_was_kept(run, tmp_path):
    first = run("run", "--watch", "notes", settings=["backbone.stop_at=3"])
    assert first.code == 130
    told = notes(tmp_path / "notes.jsonl")
    (stopped,) = [line for line in told if line[0] == "stopped"]
    assert stopped[1].startswith("interrupted: checkpoint saved")
    assert stopped[2] is True
    kept = json.loads((tmp_path / "run" / "watch-notes.json").read_text())
    assert kept == {"watcher": "watching/notes", "kept": {"times": 1}}
    again = run("run", "--watch", "notes", "--resume", tmp_path / "run", settings=["seed=3"])
    assert again.code == 1  # the recipe is another one: nothing begins
    again = run(
        "run", "--watch", "notes", "--resume", tmp_path / "run", settings=["backbone.stop_at=3"]
    )
    assert again.code == 0, again.err
    begun = [line for line in notes(tmp_path / "notes.jsonl") if line[0] == "begun"]
    assert [line[3] for line in begun] == [{}, {"times": 1}]


@pytest.mark.parametrize("content", ["", "[]", '{"watcher": "other/notes", "kept": {"times": 9}}'])
def test_what_another_kept_or_nobody_can_read_counts_as_nothing(
    registry_of, tmp_path, content, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "watch-notes.json").write_text(content)
    with watched(Watcher(), choose(["notes"], registry_of)) as watcher:
        watcher.begun(tmp_path, {}, {})
    assert notes(tmp_path / "notes.jsonl")[0][3] == {}
    assert json.loads((tmp_path / "watch-notes.json").read_text())["kept"] == {"times": 1}


def test_a_run_that_fails_is_told(run, tmp_path):
    done = run("run", "--watch", "notes", settings=["backbone.nan_at=2"])
    assert done.code == 1
    (stopped,) = [line for line in notes(tmp_path / "notes.jsonl") if line[0] == "stopped"]
    assert "nan" in stopped[1]
    assert stopped[2] is False


@pytest.fixture
def registry_of(plugin, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    monkeypatch.delenv("ANOKIT_WATCH", raising=False)
    return Registry.load([plugin])


class Seen(Watcher):
    """A display that keeps what it is to show."""

    def __init__(self):
        self.warnings, self.notices, self.threads = [], [], set()

    def warning(self, text):
        self.warnings.append(text)
        self.threads.add(threading.current_thread())

    def notice(self, text):
        self.notices.append(text)

    def step(self, images, seconds):
        self.threads.add(threading.current_thread())


def test_a_slow_watcher_slows_nothing_and_steps_are_told_together(
    registry_of, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    display = Seen()
    with watched(display, choose(["notes.sleep=0.2"], registry_of)) as watcher:
        began = time.monotonic()
        for _ in range(5000):
            watcher.step(4, 0.001)
        assert time.monotonic() - began < 0.2 * 5000 / 100
    told = notes(tmp_path / "notes.jsonl")
    assert sum(images for _, images in told) == 20_000
    assert len(told) < 20
    assert display.threads == {threading.main_thread()}


def test_one_that_hangs_is_left_behind(registry_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watchers, "PATIENCE", 0.3)
    monkeypatch.setattr(watchers, "SILENCE", 0.1)
    display = Seen()
    with watched(
        display, choose(["notes.sleep=3", f"notes.file={tmp_path}/late"], registry_of)
    ) as watcher:
        watcher.training(8)
    assert display.notices[0].startswith("waiting for watcher 'notes' of watching")
    (warning,) = display.warnings
    assert warning.endswith("is not done after 0 s; the run goes on without it")


def test_one_that_does_not_keep_up_is_dropped(registry_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watcher_thread, "WAITING", 5)
    display = Seen()
    with watched(
        display, choose(["notes.sleep=0.3", f"notes.file={tmp_path}/late"], registry_of)
    ) as watcher:
        for images in range(20):
            watcher.metrics({"images": images})
    (warning,) = display.warnings
    assert "does not keep up: 5 calls wait for it" in warning


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("nots", "--watch nots: unknown watcher 'nots', did you mean 'notes'?"),
        ("notes.fial=x", "--watch notes.fial: unknown option; 'notes' takes: fail, file, sleep; d"),
        (
            "notes.sleep=-1",
            "--watch notes.sleep: input should be greater than or equal to 0, got -",
        ),
        ("notes.=1", "--watch notes.=1: expected NAME or NAME.OPTION=VALUE"),
        ("notes=1", "--watch notes=1: expected NAME or NAME.OPTION=VALUE"),
        ("", "--watch : expected NAME"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_runs(registry_of, given, expected):
    with pytest.raises(UsageError) as caught:
        choose([given], registry_of)
    assert str(caught.value).startswith(expected)


def test_the_environment_asks_too_and_the_command_line_wins(registry_of, monkeypatch):
    monkeypatch.setenv("ANOKIT_WATCH", "notes.file=a.txt, notes.sleep=1 ,loud")
    found = choose(["watching/notes.file=b.txt"], registry_of)
    assert [one.entry.component.name for one in found] == ["notes", "loud"]
    assert found[0].options.model_dump() == {"file": "b.txt", "sleep": 1.0, "fail": ""}
    monkeypatch.setenv("ANOKIT_WATCH", "nots")
    with pytest.raises(UsageError, match="ANOKIT_WATCH nots: unknown watcher"):
        choose([], registry_of)


def test_beside_the_first_process_nobody_watches(run, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("anokit.runs.run.joined", pytest.fail)
    seen = []
    monkeypatch.setattr("anokit.runs.run.run", lambda *a, **k: seen.append(a[2]) or _Unfinished())
    assert run("run", "--watch", "notes").code == 0
    assert type(seen[0]) is Watcher


class _Unfinished:
    finished = False
