"""A run that was interrupted goes on bit for bit, and what cannot be resumed is said to be so."""

import json
import resource

import pytest
import torch
from filelock import FileLock

from anokit.errors import CheckpointError, Interrupted, UsageError
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.store.finding import create, find_resumable
from anokit.store.run_directory import LOCK, RunDirectory, RunState
from anokit.store.tensors import (
    first_bad,
    load_metadata,
    load_tensors,
    pack_optimisers,
    save_tensors,
    unpack_optimisers,
)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.fixture
def whole(training):
    """An uninterrupted run: its weights, checkpoint and log."""
    run = training("training.log_every=1", name="whole")
    _, weights = run.go()
    return weights, run.checkpoint(), run.metrics()


@pytest.mark.parametrize("steps", [1, 5, 11, 12, 13, 23, 24])
def test_interrupted_anywhere_a_run_ends_as_if_it_had_not_been(training, whole, steps):
    run = training("training.log_every=1")
    error = run.stopped(steps)
    assert f"checkpoint saved after {8 * steps:,} images" in str(error)
    assert f"--resume {run.directory.path}" in str(error)
    seen, weights = run.go()
    expected, (tensors, metadata), lines = whole
    assert seen.steps == 24 - steps
    assert_equal(weights, expected)
    assert_equal(run.checkpoint()[0], tensors)
    assert run.checkpoint()[1]["position"]["shown"] == metadata["position"]["shown"] == 192
    assert run.metrics() == lines


def test_interrupted_after_every_step_a_run_ends_the_same(training, whole):
    run = training("training.log_every=1")
    for _ in range(24):
        run.stopped(1)
    _, weights = run.go()
    assert_equal(weights, whole[0])
    assert run.metrics() == whole[2]


@pytest.mark.parametrize("steps", [1, 3, 7, 11, 12, 13, 20])
def test_the_log_of_a_resumed_run_is_that_of_one_that_was_not_interrupted(training, steps):
    """Means over steps on both sides of the interruption are those of all these steps."""
    undisturbed = training("training.log_every=5", name="undisturbed")
    undisturbed.go()
    run = training("training.log_every=5", name="interrupted")
    run.stopped(steps)
    run.go()
    assert run.metrics() == undisturbed.metrics()


@pytest.mark.parametrize("last", ["resolved.json", "environment.json", "recipe.toml", None])
def test_killed_before_training_began_a_run_is_taken_up(
    toykit, recipe_file, tmp_path, monkeypatch, last
):
    """Killed as soon as the file ``last`` is written: nothing is lost, and nothing refuses."""
    path, out = recipe_file(), tmp_path / "run"

    def killed(*_):
        raise KeyboardInterrupt

    def write(self, name, content):
        write_json(self, name, content)
        if name == last:
            killed()

    write_json = RunDirectory.write_json
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_json", killed if last == "recipe.toml" else write)
        if last is None:
            patch.setattr("anokit.runs.run.write_start", killed)
        assert toykit("run", path, "--out", out).code == 130
    assert not (out / "split.json").exists()
    done = toykit("run", path, "--resume", out)
    assert done.code == 0, done.err
    assert (out / "results.json").exists()


def test_a_run_that_another_recipe_began_is_not_taken_up(toykit, recipe_file, tmp_path):
    out = tmp_path / "run"
    assert toykit("run", recipe_file("backbone.fail_at=0"), "--out", out).code == 1
    (out / "split.json").unlink()
    done = toykit("run", recipe_file("seed=4", "backbone.fail_at=0"), "--resume", out)
    assert (done.code, "was made by another recipe; seed" in done.err) == (1, True)


def test_a_crash_between_checkpoints_goes_back_to_the_last_one(training, whole):
    run = training("training.log_every=1")
    run.stopped(9)
    with pytest.raises(KeyboardInterrupt):
        run.go(crash=8)  # seven steps are logged twice, had the log not been cut
    assert len(run.metrics()) > 9
    with run.directory.metrics.open("a") as file:
        file.write('{"phase": "whole", "imag')  # and the last line was half written
    seen, weights = run.go()
    assert seen.phases[0] == ("half", 1, 2, 12, 9)
    assert_equal(weights, whole[0])
    assert run.metrics() == whole[2]


def test_a_run_whose_training_is_done_trains_no_more(training, whole):
    run = training("training.log_every=1")
    run.go()
    seen, weights = run.go()
    assert seen.steps == 0
    assert_equal(weights, whole[0])


def test_checkpoints_come_by_the_clock(training, monkeypatch):
    run, saved = training("training.checkpoint_minutes=0"), []
    save = save_tensors
    monkeypatch.setattr(
        "anokit.training.state.save_tensors", lambda *a: (saved.append(a[0]), save(*a))
    )
    run.go()
    assert len(saved) == 24 + 1
    assert len(set(saved)) == 1


# The real backbones, where they are installed


@pytest.fixture(scope="module")
def everything(toys_file):
    return Registry.load([toys_file])


REAL = {
    "pgan": {
        "dataset": {"use": "blobs", "size": 8},
        "backbone": {
            "use": "pgan",
            "latent_size": 8,
            "base_channels": 32,
            "max_channels": 4,
            "images": 24,
            "batch_size": 4,
        },
        "encoder-losses": [{"use": "di"}, {"use": "dz", "weight": 0.5}],
        "scores": [{"use": "lo"}],
    },
    "skip-ganomaly": {
        "dataset": {"use": "blobs", "size": 32, "channels": 3},
        "backbone": {
            "use": "skip-ganomaly",
            "ngf": 2,
            "ndf": 2,
            "nz": 4,
            "batch_size": 4,
            "images": 16,
            "noise": 0.1,
        },
        "scores": [{"use": "residual"}],
    },
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_a_real_backbone_goes_on_bit_for_bit(everything, training_of, tmp_path, name):
    offered = {entry.component.name for entry in everything.entries}
    needed = {
        part["use"] for key in ("encoder-losses", "scores") for part in REAL[name].get(key, [])
    }
    if not {name, *needed} <= offered:
        pytest.skip(f"the plugins that offer {name} and what its recipe needs are not installed")
    tables = {**REAL[name], "training": {"snapshots": 1}}
    recipe = resolve(tables, everything, tmp_path / f"{name}.toml")
    run = training_of(recipe, "whole")
    seen, expected = run.go()
    tensors, _ = run.checkpoint()
    broken = training_of(recipe, "broken")
    for steps in (1, 2, seen.steps - 4):  # inside phases and at their ends
        if steps > 0:
            broken.stopped(steps)
    rest, weights = broken.go()
    assert 0 < rest.steps < seen.steps
    assert_equal(weights, expected)
    assert_equal(broken.checkpoint()[0], tensors)


# What goes wrong on the way


def test_a_full_disk_keeps_the_old_checkpoint(training):
    run = training("backbone.latent=64", "training.snapshots=0")
    run.stopped(5)
    before = run.directory.checkpoint.read_bytes()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, old[1]))
    try:
        with pytest.raises(CheckpointError) as caught:
            run.go(stop=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "could not be written" in str(caught.value)
    assert "the file that was there is kept as it was" in str(caught.value)
    assert "Then go on with: anokit run toys.toml --resume" in str(caught.value)
    assert run.directory.checkpoint.read_bytes() == before
    assert [path.name for path in run.directory.checkpoint.parent.iterdir()] == ["last.safetensors"]
    seen, weights = run.go()
    assert seen.steps == 24 - 5
    plain = training("backbone.latent=64", "training.snapshots=0", name="plain").go()[1]
    assert_equal(weights, plain)


def test_a_full_disk_for_the_log_is_nobodys_fault(training):
    run = training("training.log_every=1")
    run.directory.metrics.mkdir()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: could not be written"):
        run.go(stop=5)


def test_a_full_disk_for_samples_is_nobodys_fault(training):
    run = training()
    run.directory.samples.write_text("in the way")
    with pytest.raises(CheckpointError, match=r"samples.*could not be written"):
        run.go()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(training, share):
    run = training()
    run.stopped(5)
    path = run.directory.checkpoint
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=f"{path}: not a whole safetensors file"):
        run.go()


def test_a_checkpoint_of_another_recipe_is_refused(training):
    run = training()
    run.stopped(5)
    other = training("seed=4", name="other")
    other.directory.checkpoint.parent.mkdir()
    other.directory.checkpoint.write_bytes(run.directory.checkpoint.read_bytes())
    with pytest.raises(CheckpointError, match="belongs to another recipe"):
        other.go()


def write_start(run):
    run.directory.write_json("resolved.json", {**run.recipe.as_dict(), "quick": False})


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("seed=4", "seed differ"),
        ("backbone.latent=5", "backbone differ"),
        ("encoder-losses=[]", "encoder-losses differ"),
        ("training.max_steps=3", "training differ"),
    ],
)
def test_resuming_with_another_recipe_names_what_differs(training, make, setting, named):
    run = training()
    write_start(run)
    with pytest.raises(CheckpointError, match=f"made by another recipe; {named}") as caught:
        find_resumable(make(setting), run.directory.path)
    assert "resolved.json" in str(caught.value)
    assert find_resumable(make("scores.far.most=7"), run.directory.path).path == run.directory.path


def test_resuming_a_finished_run_is_refused(training, make):
    run = training()
    write_start(run)
    run.directory.write_json("results.json", {})
    run.directory.write_text("report.html", "")
    with pytest.raises(UsageError, match=r"this run is finished: see .*report\.html"):
        find_resumable(make(), run.directory.path)


def test_resuming_nothing_is_refused(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no run in runs/toys; run without --resume"):
        find_resumable(make(), None)
    with pytest.raises(UsageError, match="no such run directory"):
        find_resumable(make(), tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"has no resolved\.json; expected a run directory"):
        find_resumable(make(), tmp_path / "empty")


def test_a_bare_resume_takes_the_newest_unfinished_run(make, tmp_path, monkeypatch):
    """The newest by its own record: clocks are put back, and folders are renamed."""
    monkeypatch.chdir(tmp_path)
    recipe, runs = make(), tmp_path / "runs" / "toys"
    for name, hour in (("aa", 2), ("bb", 1), ("cc", 3), ("only begun", 4)):
        directory = create(recipe, runs / name)
        directory.write_json("resolved.json", recipe.as_dict())
        directory.write_json("environment.json", {"started": f"2026-01-01T0{hour}:00:00+00:00"})
        if name != "only begun":
            directory.write_json("split.json", {})
    (runs / "other").mkdir()
    (runs / "cc" / "results.json").write_text("{}")
    for name in ("aa", "bb", "only begun"):
        assert find_resumable(recipe, None).path.name == name
        (runs / name / "results.json").write_text("{}")
    with pytest.raises(UsageError, match="there is no unfinished run in"):
        find_resumable(recipe, None)


def test_a_run_directory_is_begun_interrupted_or_finished(make, tmp_path):
    recipe, path = make(), tmp_path / "run"
    directory = RunDirectory(path, recipe)
    assert directory.state is RunState.BEGUN, "nothing is there"
    create(recipe, path)
    for name in ("recipe.toml", "toys.py", ".0123456789ab.new"):
        directory.write_text(name, "")
        assert directory.state is RunState.BEGUN
        assert create(recipe, path).path == find_resumable(make("seed=7"), path).path == path
    (path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"not empty; name a new .*holds notes\.txt"):
        create(recipe, path)
    (path / "notes.txt").unlink()
    directory.write_json("resolved.json", recipe.as_dict())
    directory.write_json("split.json", {})
    assert directory.state is RunState.INTERRUPTED
    directory.write_json("environment.json", {"arguments": "own.toml --quick"})
    with pytest.raises(UsageError, match=r"go on with .*: anokit run own\.toml --quick --resume"):
        create(recipe, path)  # which is another's
    assert find_resumable(recipe, path).path == path
    directory.write_json("results.json", {})
    directory.write_text("report.html", "")
    assert directory.state is RunState.FINISHED
    with pytest.raises(UsageError, match=r"holds a finished run, see .*report\.html; name a new"):
        create(recipe, path)


def test_a_folder_that_no_run_made_is_nobodys_to_write_in(make, tmp_path):
    (tmp_path / "recipe.toml").write_text("mine")
    assert not (tmp_path / LOCK).exists()
    with pytest.raises(UsageError, match=r"name a new directory .*recipe\.toml"):
        create(make(), tmp_path)
    with pytest.raises(UsageError, match="and a file; name a new directory"):
        create(make(), tmp_path / "recipe.toml")


def test_two_at_once_are_kept_apart(training):
    directory = training().directory
    with directory.locked(), pytest.raises(UsageError, match="another anokit is at work in it"):
        RunDirectory(directory.path).locked().__enter__()
    with FileLock(directory.path / ".lock"), pytest.raises(UsageError, match="at work"):
        directory.locked().__enter__()
    with directory.locked():
        pass


def test_a_new_run_directory_is_empty_and_its_own(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = create(make(), None), create(make(), None)
    assert first.path != second.path
    assert first.path.parent.as_posix() == "runs/toys"
    (tmp_path / "out").mkdir()
    assert create(make(), tmp_path / "out").path == tmp_path / "out"
    # One that failed before it wrote anything leaves nothing that could be lost.
    assert create(make(), tmp_path / "out").path == tmp_path / "out"
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(UsageError, match="is there already and not empty; name a new directory"):
        create(make(), tmp_path / "out")


def test_an_out_that_cannot_be_written_is_refused(make, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "below", tmp_path / "file"):
        with pytest.raises(UsageError, match=r"cannot be made|is there already"):
            create(make(), path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    try:
        (closed / "try").touch()
    except PermissionError:
        with pytest.raises(UsageError, match="Permission denied; choose another with --out"):
            create(make(), closed / "run")


def test_weights_of_another_shape_are_refused_by_name(training):
    run = training()
    run.stopped(3)
    tensors, metadata = run.checkpoint()
    tensors["model/encoder.weight"] = torch.zeros(2, 2)
    save_tensors(run.directory.checkpoint, tensors, metadata)
    with pytest.raises(CheckpointError, match=r"does not fit the network.*encoder\.weight"):
        run.go()


def test_a_phase_with_other_optimisers_is_refused(training):
    run = training()
    run.stopped(3)
    tensors, metadata = run.checkpoint()
    metadata["optimisers"] = {"sgd": metadata["optimisers"]["adam"]}
    save_tensors(run.directory.checkpoint, tensors, metadata)
    with pytest.raises(
        CheckpointError, match=r"has optimisers \['sgd'\], this phase has \['adam'\]"
    ):
        run.go()


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd", "rmsprop", "amsgrad", "groups"])
def test_any_optimiser_survives_the_file(tmp_path, kind):
    def build():
        net = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view(parameter.shape))
        parameters = list(net.parameters())
        makers = {
            "adam": lambda: torch.optim.Adam(parameters, 0.1, betas=(0.0, 0.99)),
            "adamw": lambda: torch.optim.AdamW(parameters, 0.1),
            "sgd": lambda: torch.optim.SGD(parameters, 0.1, momentum=0.9),
            "rmsprop": lambda: torch.optim.RMSprop(parameters, 0.1),
            "amsgrad": lambda: torch.optim.Adam(parameters, 0.1, amsgrad=True),
            "groups": lambda: torch.optim.Adam([{"params": [p]} for p in parameters], 0.1),
        }
        return net, makers[kind]()

    def step(net, optimiser, count):
        for seed in range(count):
            images = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
            optimiser.zero_grad()
            net(images).square().mean().backward()
            optimiser.step()

    net, optimiser = build()
    step(net, optimiser, 3)
    tensors, rest = pack_optimisers({"o": optimiser})
    save_tensors(tmp_path / "o", tensors, {"rest": rest})
    again, fresh = build()
    again.load_state_dict(net.state_dict())
    stored = load_metadata(tmp_path / "o")["rest"]
    unpack_optimisers({"o": fresh}, load_tensors(tmp_path / "o"), stored)
    step(net, optimiser, 2)
    step(again, fresh, 2)
    assert_equal(dict(again.state_dict()), dict(net.state_dict()))


def test_a_file_that_is_not_there_or_something_else_is_named(tmp_path):
    for read in (load_tensors, load_metadata):
        with pytest.raises(CheckpointError, match="no such file"):
            read(tmp_path / "none")
        (tmp_path / "text").write_text("hello, this is a text file and nothing else")
        with pytest.raises(CheckpointError, match="not a whole safetensors file"):
            read(tmp_path / "text")


def test_tensors_that_share_memory_or_are_views_are_written(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    tensors = {"a": base, "b": base[1:].t(), "c": base[:, ::2], "empty": torch.empty(0)}
    save_tensors(tmp_path / "t", tensors)
    assert_equal(load_tensors(tmp_path / "t"), tensors)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_named(bad):
    tensors = {"a": torch.tensor([1, 2]), "b": torch.ones(2), "c": torch.tensor([0.0, bad])}
    assert first_bad(tensors) == "c"
    del tensors["c"]
    assert first_bad(tensors) is None


# A process of its own


def test_sigterm_ends_with_130_and_a_checkpoint_to_go_on_from(
    python, recipe_file, toys_file, tmp_path, warm_python
):
    path = recipe_file("backbone.stop_at=5")
    arguments = ("-m", "anokit", "run", path, "--plugin", toys_file, "--out", "run")
    result = python(*arguments, executable=warm_python)
    assert result.returncode == 130, result.stderr
    assert "interrupted: checkpoint saved after 144 images" in result.stderr
    assert "Traceback" not in result.stderr
    metadata = load_metadata(tmp_path / "run" / "checkpoint" / "last.safetensors")
    assert metadata["position"] | {"seconds": 0} == {
        "phase": 1,
        "step": 6,
        "shown": 144,
        "seconds": 0,
        "afresh": False,
    }
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["images"] == 144


def test_interrupted_is_no_failure():
    assert Interrupted("…").exit_code == 130
