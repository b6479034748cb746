"""Terminals and files as other systems have them: no traceback for an encoding."""

import codecs
import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "gbk"])
def test_output_in_another_encoding_is_escaped_not_lost(encoding, recipe_file, toys_file, tmp_path):
    path = recipe_file("title=Größe ≤ 5 · σ é")
    here = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "ANOKIT_PLUGINS": ""}
    found = subprocess.run(
        [sys.executable, "-m", "anokit", "run", path, "--plugin", toys_file, "--dry-run"],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, **here},
        timeout=120,
        check=False,
    )
    said = found.stderr.decode(encoding)
    assert found.returncode == 0, said
    assert "Traceback" not in said
    shown = found.stdout.decode(encoding)
    assert "Training on cpu" in shown
    assert ("é" in shown) != (r"\xe9" in shown)


def test_a_recipe_with_a_mark_and_windows_line_ends_is_read(recipe_file, toykit):
    path = recipe_file()
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    found = toykit("check", path)
    assert found.code == 0, found.err
