"""Terminals and files as other systems have them: no traceback for an encoding."""

import codecs

import pytest


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "gbk"])
def test_output_in_another_encoding_is_escaped_not_lost(
    encoding, python, recipe_file, toys_file, monkeypatch
):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("PYTHONUTF8", "0")
    path = recipe_file("title=Größe ≤ 5 · σ")
    found = python("-m", "anokit", "run", path, "--plugin", toys_file, "--dry-run")
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    assert "Training on cpu" in found.stdout


def test_a_recipe_with_a_mark_and_windows_line_ends_is_read(recipe_file, toykit):
    path = recipe_file()
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    found = toykit("check", path)
    assert found.code == 0, found.err
