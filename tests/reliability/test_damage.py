"""Whatever file of a run is damaged, whoever reads it says so in a sentence.

A seeded slice of all pairs of damage and use by default; ``ANOKIT_ATTEMPTS`` takes another number,
or ``all``.
"""

import json
import os
import random
import shutil

import pytest

from anokit.errors import AnokitError
from anokit.report.html import write_report
from anokit.report.reading import read_run
from anokit.results.rows import read_results
from anokit.runs.add_scores import add_scores
from anokit.runs.compare import compare
from anokit.runs.finished import load
from anokit.runs.table import make_table
from anokit.runs.verify import verify
from anokit.store.run_directory import RunDirectory

SLICE = 30
EXTRA = '[[scores]]\nname = "near"\nuse = "far"\nmost = 30\n'


def every_place(value, path=()):
    """Yield the places of all values in nested lists and objects."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        if isinstance(one, dict | list):
            yield from every_place(one, (*path, key))
        else:
            yield (*path, key)


def put(path, place, value):
    """Write a JSON file anew with another value at a place; without it where value is `put`."""
    content = json.loads(path.read_text())
    *parents, last = place or (None,)
    if not place:
        path.write_text(json.dumps(value, default=str))
        return
    inner = content
    for key in parents:
        inner = inner[key]
    if value is put:
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(content))


def wrecked(path):
    """Return damage to any file by name, each a function that does it."""
    data = path.read_bytes()
    nested = b"[" * 200_000

    def link_loop():
        path.unlink()
        path.symlink_to(path.name)

    def folder():
        path.unlink()
        path.mkdir()

    def flip(place):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)

    damage = {
        "gone": path.unlink,
        "empty": lambda: path.write_bytes(b""),
        "half": lambda: path.write_bytes(data[: len(data) // 2]),
        "null": lambda: path.write_bytes(b"null"),
        "number": lambda: path.write_bytes(b"7"),
        "list": lambda: path.write_bytes(b"[]"),
        "object": lambda: path.write_bytes(b"{}"),
        "no UTF-8": lambda: path.write_bytes(b"\xff\xfe" + data),
        "nested": lambda: path.write_bytes(nested),
        "digits": lambda: path.write_bytes(b'{"seed": ' + b"9" * 5000 + b"}"),
        "zeros": lambda: path.write_bytes(bytes(len(data))),
        "folder": folder,
        "link loop": link_loop,
    }
    damage |= {f"bit {at}": (lambda at=at: flip(at)) for at in range(0, len(data), 97)}
    if path.suffix == ".json":
        places = list(every_place(json.loads(data)))
        for value in (None, [], {}, "x", -1, 10**400, True, put):
            damage |= {
                f"{'.'.join(map(str, at))} = {value!r}"[:80]: (
                    lambda at=at, value=value: put(path, at, value)
                )
                for at in places
                if at or value is not put
            }
    return damage


@pytest.fixture
def uses(tmp_path, toys_file):
    """All that reads a finished run, by name."""
    extra = tmp_path / "extra.toml"
    extra.write_text(EXTRA)
    plugins = {"plugins": [toys_file]}
    return {
        "load": lambda run: load(run, device="cpu", **plugins).calibrations(),
        "report": write_report,
        "read": read_run,
        "add-scores": lambda run: add_scores(run, extra, device="cpu", **plugins),
        "table": lambda run: make_table([run]),
        "compare": lambda run: compare([f"{run}:error", f"{run}:far"], resamples=20),
        "verify": lambda run: verify(run, device="cpu", **plugins),
        "resume": lambda run: RunDirectory(run).cut_metrics(10**9),
    }


def test_what_is_whole_is_read_by_all(finished, uses, tmp_path):
    for name, use in uses.items():
        use(shutil.copytree(finished, tmp_path / name))


def test_damaged_files_are_told_in_a_sentence(finished, uses, tmp_path):
    names = sorted(
        path.relative_to(finished).as_posix()
        for path in finished.rglob("*")
        if path.is_file() and path.suffix in (".json", ".csv", ".jsonl", ".safetensors", ".toml")
    )
    attempts = [
        (name, what, use) for name in names for what in wrecked(finished / name) for use in uses
    ]
    count = os.environ.get("ANOKIT_ATTEMPTS", str(SLICE))
    if count != "all":
        attempts = random.Random(0).sample(attempts, int(count))
    run = tmp_path / "run"
    wrong = []
    for name, what, use in attempts:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(finished, run)
        wrecked(run / name)[what]()
        try:
            uses[use](run)
        except AnokitError as error:
            if len(str(error)) > 2000 or "Traceback" in str(error):
                wrong.append((name, what, use, str(error)[:300]))
        except BaseException as error:
            wrong.append((name, what, use, repr(error)[:300]))
    assert wrong == []


@pytest.mark.parametrize("name", ["model.safetensors", "scores/*.safetensors"])
def test_a_single_flipped_bit_of_what_makes_scores_is_noticed(name, finished, tmp_path, toys_file):
    run = shutil.copytree(finished, tmp_path / "run")
    path = next(iter(sorted(run.glob(name))))
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(AnokitError, match=rf"{path.name}: damaged: its SHA-256 is .* recorded"):
        load(run, device="cpu", plugins=[toys_file])
    assert "SHA-256" in verify(run, device="cpu", plugins=[toys_file]).problems[0]


def test_a_run_of_a_version_without_hashes_is_read(finished, tmp_path, toys_file):
    run = shutil.copytree(finished, tmp_path / "run")
    assert set(read_results(RunDirectory(run)).files) == {
        "model.safetensors",
        *(f"scores/{path.name}" for path in (run / "scores").iterdir()),
    }
    put(run / "results.json", ("files",), put)
    load(run, device="cpu", plugins=[toys_file])
