"""Many files through a finished run: in pieces, in bounded memory, whoever scores them."""

import csv
import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from anokit.errors import UsageError
from anokit.runs import piece_pictures
from anokit.runs.inputs import FileList
from anokit.runs.pieces import Head, jobs_of, merged, piece_size
from anokit.runs.ranked_files import judging
from anokit.runs.score_place import place_of
from anokit.runs.score_request import ScoreRequest

COUNT = 50


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Small images in two folders, more than two pieces of them."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        path = tmp_path / "photos" / str(number % 2) / f"p{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return Path("photos")


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_shards_make_the_table_of_one_process_byte_for_byte(toykit, finished, photos):
    command = ("score", finished, photos, "--device", "cpu")
    assert toykit(*command, "--out", "whole.csv").code == 0
    for shard in ("1/3", "3/3", "2/3"):
        found = toykit(*command, "--out", "parts.csv", "--shard", shard)
        assert found.code == 0, found.err
        assert not Path("parts.csv").exists()
    merging = toykit(*command, "--out", "parts.csv")
    assert f"{COUNT} were there already" in merging.out
    assert Path("parts.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert len(rows("parts.csv")) == COUNT
    assert not place_of(Path("parts.csv")).exists(), "what was kept is removed at the end"


def test_a_file_that_changed_is_scored_again(toykit, finished, photos):
    command = ("score", finished, photos, "--out", "s.csv", "--device", "cpu")
    assert toykit(*command, "--shard", "1/1").code == 0
    first = photos / "0" / "p000.png"
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(first)
    assert f"{COUNT - 16} were there already" in toykit(*command).out
    changed = Path("s.csv").read_bytes()
    assert toykit(*command).code == 0
    assert Path("s.csv").read_bytes() == changed


def test_a_cluster_makes_the_table_of_one_process_byte_for_byte(toykit, finished, photos):
    command = ("score", finished, photos, "--device", "cpu")
    assert toykit(*command, "--out", "whole.csv").code == 0
    found = toykit(*command, "--out", "ray.csv", "--ray")
    assert found.code == 0, found.err
    assert Path("ray.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_maps_are_painted_as_pieces_come_and_none_of_them_twice(
    toykit, finished, photos, monkeypatch
):
    make, painted = piece_pictures.make_pictures, []

    def interrupted_once(folder, name, *rest):
        painted.append(name)
        if len(painted) == 20:
            raise KeyboardInterrupt
        return make(folder, name, *rest)

    monkeypatch.setattr(piece_pictures, "make_pictures", interrupted_once)
    command = ("score", finished, photos, "--maps", "maps", "--device", "cpu")
    stopped = toykit(*command)
    assert (stopped.code, "the same command goes on" in stopped.err) == (130, True)
    assert len(list(place_of(Path("maps")).glob("*/00000000.*.pictures/*.png"))) == 16
    assert not Path("maps").exists()
    done = toykit(*command)
    assert done.code == 0, done.err
    assert "32 were there already" in done.out
    assert len(painted) == 20 + COUNT - 16, "the first piece is not painted again"
    assert len(list(Path("maps").glob("0*.png"))) == COUNT
    assert len(list(Path("maps/originals").iterdir())) == COUNT
    assert not place_of(Path("maps")).exists()


DYING = '''
import os
import signal
from pathlib import Path

from pydantic import Field

from anokit import Component, Options, hookimpl


class DyingOptions(Options):
    """Options of ``dying``."""

    marker: str = Field(description="file that ends whoever finds it first")


class Dying:
    def __init__(self, options):
        self.marker = Path(options.marker)

    def __call__(self, trip):
        try:
            self.marker.unlink()
        except FileNotFoundError:
            return trip.image.flatten(1).mean(dim=1)
        os.kill(os.getpid(), signal.SIGKILL)


@hookimpl
def anokit_scores():
    needs = frozenset({"image"})
    yield Component(
        name="dying", summary="Mean", factory=Dying, options=DyingOptions, needs=needs
    )
'''


def test_a_worker_of_a_cluster_that_is_killed_costs_nothing(toykit, recipe_file, photos):
    pytest.importorskip("ray", reason="Ray is an extra of anokit")
    plugin, marker = Path("dying.py").absolute(), Path("marker").absolute()
    plugin.write_text(DYING)
    recipe = recipe_file(f'scores=[{{use="dying", marker="{marker}"}}]', "dataset.test=0")
    made = toykit("run", recipe, "--plugin", plugin, "--out", "run", "--device", "cpu")
    assert made.code == 0, made.err
    command = ("score", "run", photos, "--plugin", plugin, "--device", "cpu")
    assert toykit(*command, "--out", "whole.csv").code == 0
    marker.touch()
    found = toykit(*command, "--out", "ray.csv", "--ray")
    assert not marker.exists(), "a worker was killed"
    assert found.code == 0, found.err
    assert Path("ray.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_no_bad_file_ends_the_work_of_the_others(toykit, finished, photos):
    os.mkfifo(photos / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(photos / "socket.png"))
    (photos / "link.png").symlink_to("nowhere.png")
    whole = (photos / "0" / "p000.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (20_000, 20_000)).save(photos / "bomb.png")
    (photos / "notes.txt").write_text("none")
    (photos / ".hidden.png").write_bytes(whole)
    for name in (b"\xff.png", b"line\nbreak\x1b[31m.png", b"x" * 251 + b".png"):
        Path(os.fsdecode(os.fsencode(photos) + b"/" + name)).write_bytes(whole)
    Path("=1+1.png").write_bytes(whole)
    Image.fromarray(np.full((8, 8), 70_000, np.int32)).save(photos / "deep.tif")
    command = ("score", finished, photos, "*.png", "--out", "s.csv", "--maps", "maps")
    found = toykit(*command)
    assert found.code == 1
    for name in ("pipe", "socket", "link", "cut", "bomb"):
        assert f"{name}.png is left out: " in found.out, name
    assert "5 could not be read" in found.out
    assert "1 that are no images (.txt) and 1 hidden" in found.out
    assert "1 of 55 images hold values that are clipped" in found.out
    assert "\x1b[31m" not in found.out
    names = {row["image"] for row in rows("s.csv")}
    assert len(names) == COUNT + 5
    assert {"photos/\\xff.png", "photos/line\nbreak\x1b[31m.png", "./=1+1.png"} <= names


def test_what_is_in_the_way_is_not_written_over(toykit, finished, photos):
    command = ("score", finished, photos)
    Path("mine.csv").write_text("a,b\n1,2\n")
    refused = toykit(*command, "--out", "mine.csv")
    assert (refused.code, "replace it with --force" in refused.err) == (2, True)
    assert Path("mine.csv").read_text() == "a,b\n1,2\n"
    assert toykit(*command, "--out", "mine.csv", "--force").code == 0
    assert toykit(*command, "--out", "mine.csv").code == 0, "a table of scores may be replaced"
    image = photos / "0" / "p000.png"
    before = image.read_bytes()
    refused = toykit(*command, "--out", image, "--force")
    assert (refused.code, "is one of the images to be scored" in refused.err) == (2, True)
    assert image.read_bytes() == before
    refused = toykit(*command, "--maps", photos)
    assert (refused.code, "would be lost" in refused.err) == (2, True)
    assert "scored in" not in refused.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shard", "2/3"), "--shard: needs --out"),
        (("--shard", "4/3", "--out", "s.csv"), "expected K/N"),
        (("--shard", "1/3", "--ray", "local", "--out", "s.csv"), "--shard or --ray, not both"),
    ],
)
def test_what_does_not_go_together_is_said(toykit, finished, photos, options, message):
    found = toykit("score", finished, photos, *options)
    assert (found.code, message in found.err) == (2, True), found.err


def test_pieces_are_whole_batches_and_never_more_than_a_folder_holds(tmp_path):
    assert piece_size(10, 64) == 64
    assert piece_size(10**9, 64) % 64 == 0
    assert 10**9 / piece_size(10**9, 64) <= 4096
    names = [f"{number}.png" for number in range(10)]
    (tmp_path / "files").write_bytes(b"".join(name.encode() + b"\0" for name in names))
    jobs = list(jobs_of(FileList(tmp_path / "files", 10, ""), 4, tmp_path))
    assert [job.files() for job in jobs] == [names[:4], names[4:8], names[8:]]


def test_a_merge_of_more_files_than_may_be_open_is_a_ranking(tmp_path):
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 50, 900).astype(float)
    paths = []
    for number in range(300):
        at = range(3 * number, 3 * number + 3)
        lines = sorted((-scores[p], p, json.dumps([f"{p}", scores[p]])) for p in at)
        text = "".join(f"{float(key)!r} {place} {row}\n" for key, place, row in lines)
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_text(json.dumps(vars(Head(""))) + "\n" + text)
    found = [int(name) for name, _ in merged(paths, tmp_path)]
    assert found == np.argsort(-scores, kind="stable").tolist()


MEMORY = """
import os, sys, tracemalloc
from pathlib import Path
from anokit.runs.score_files import ScoreRequest, score_files

run, source, toys = map(Path, sys.argv[1:])
def peak(count):
    for number in range(count):
        path = Path(f"{count}/{number // 1000}/{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, path)
    tracemalloc.start()
    request = ScoreRequest(run, [str(count)], out=Path(f"{count}.csv"), plugins=[toys])
    assert score_files(request).count == count
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found
peak(20)
print(peak(250), peak(1000))
"""


def test_four_times_the_images_take_no_more_memory(
    python, finished, photos, tmp_path, toys_file, warm_python
):
    arguments = (finished, tmp_path / photos / "0/p000.png", toys_file)
    found = python("-c", MEMORY, *arguments, executable=warm_python)
    assert found.returncode == 0, found.stderr
    few, many = map(int, found.stdout.split())
    assert many - few < 500 * 2**10, "half a kilobyte an image and less"


def test_another_process_at_work_is_said(toykit, finished, photos):
    from filelock import FileLock

    place = place_of(Path("s.csv"))
    place.mkdir()
    with FileLock(place / "1-of-2.lock"):
        found = toykit("score", finished, photos, "--out", "s.csv")
    assert (found.code, "another process is scoring" in found.err) == (2, True)
    assert UsageError.exit_code == 2


@pytest.mark.parametrize(
    ("promised", "said"), [(0.01, "5 % false alarms"), (None, "promises nothing")]
)
def test_a_threshold_that_promises_nothing_is_said_to(tmp_path, promised, said):
    calibration = SimpleNamespace(threshold=2.0, promised=0.05)
    run = SimpleNamespace(
        recipe=SimpleNamespace(scores=[SimpleNamespace(name="knn")]),
        calibrations=lambda _: {"knn": calibration},
        results=SimpleNamespace(row=lambda _: SimpleNamespace(false_alarms=promised)),
    )
    request = ScoreRequest(tmp_path, [])
    assert said in judging(request, run, [], 0)[1]
