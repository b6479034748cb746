"""Checks of a plugin as a package: its metadata, and what its import does."""

import importlib
import sys
from unittest import SkipTest

import pytest

from anokit import Component
from anokit.registry.entries import Entry
from anokit.testing import CheckFailed, collect_checks
from anokit.testing.check import CheckWarning

CODE = """
from anokit import Component, hookimpl

@hookimpl
def anokit_scores():
    yield Component(name="bright", summary="s", factory="a:b", needs=frozenset({"image"}))
"""

METADATA = """Metadata-Version: 2.4
Name: {name}
Version: 1.2
Summary: Brightness
License-Expression: MIT
Keywords: images,anokit
Requires-Python: >=3.11
Requires-Dist: anokit<0.2,>=0.1

# Brightness
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a plugin of one module in a folder on the path; return its module's name."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(code=CODE, metadata=METADATA, *, installed=True):
        name = f"kit_package_{len(made)}_{abs(hash((tmp_path, code, metadata))) % 10**8}"
        made.append(name)
        (tmp_path / f"{name}.py").write_text(code)
        if installed:
            info = tmp_path / f"{name}-1.2.dist-info"
            info.mkdir()
            dist = name.replace("_", "-")
            (info / "METADATA").write_text(metadata.format(name=dist))
            (info / "entry_points.txt").write_text(f"[anokit]\nx = {name}\n")
            monkeypatch.setenv("ANOKIT_PLUGINS", dist)
        importlib.invalidate_caches()
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)


def check(module, name):
    """Run the one check of a name."""
    (found,) = [check for check in collect_checks(module) if check.name == name]
    found()


CHECKS = (
    "check_plugin_version_range",
    "check_plugin_metadata",
    "check_plugin_names_free",
    "check_plugin_import_is_quick",
    "check_plugin_prints_nothing",
)


def test_a_sound_package_passes(package):
    module = package()
    for name in CHECKS:
        check(module, name)


@pytest.mark.parametrize(
    ("range_", "message"),
    [
        ("Requires-Python: >=3.11", "depends on no anokit"),
        ("Requires-Dist: anokit", "no lower bound and no upper bound"),
        ("Requires-Dist: anokit>=0.1", "anokit>=0.1: has no upper bound"),
        ("Requires-Dist: anokit<0.2", "anokit<0.2: has no lower bound"),
        ("Requires-Dist: anokit>=0.2,<0.3", r"<0\.3,>=0\.2 does not hold 0\.1"),
    ],
)
def test_a_range_that_says_nothing_or_something_else_is_caught(package, range_, message):
    metadata = METADATA.replace("Requires-Dist: anokit<0.2,>=0.1", range_)
    with pytest.raises(CheckFailed, match=message):
        check(package(metadata=metadata), "check_plugin_version_range")


def test_ranges_may_be_written_otherwise(package):
    for range_ in ("anokit~=0.1.0", "anokit (>=0.1,<0.2)", "Anokit==0.1.*"):
        metadata = METADATA.replace("anokit<0.2,>=0.1", range_)
        check(package(metadata=metadata), "check_plugin_version_range")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Summary: Brightness\n", "lacks a summary"),
        ("Requires-Python: >=3.11\n", "requires-python"),
        ("\n# Brightness\n", "README"),
    ],
)
def test_metadata_that_lack_something_are_caught(package, line, message):
    assert line in METADATA
    with pytest.raises(CheckFailed, match=message):
        check(package(metadata=METADATA.replace(line, "")), "check_plugin_metadata")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("License-Expression: MIT\n", "lacks a licence"),
        ("Keywords: images,anokit\n", "keyword to be found by"),
    ],
)
def test_a_licence_or_keyword_that_is_absent_is_a_warning(package, line, message):
    assert line in METADATA
    with pytest.warns(CheckWarning, match=message):
        check(package(metadata=METADATA.replace(line, "")), "check_plugin_metadata")


def test_a_licence_may_be_a_classifier(package):
    other = "Classifier: License :: OSI Approved :: MIT License"
    metadata = METADATA.replace("License-Expression: MIT", other)
    check(package(metadata=metadata), "check_plugin_metadata")


def test_what_is_not_installed_has_no_metadata(package):
    module = package(installed=False)
    for name in ("check_plugin_version_range", "check_plugin_metadata"):
        with pytest.raises(SkipTest, match="no entry point 'anokit' of an installed distribution"):
            check(module, name)


@pytest.mark.parametrize(
    "code",
    [
        "print('hello')\n" + CODE,
        "import sys\nsys.stderr.write('loading')\n" + CODE,
        "import os\nos.write(1, b'hello')\n" + CODE,
        CODE.replace("    yield", "    print('asked')\n    yield"),
    ],
    ids=["import", "stderr", "descriptor", "hook"],
)
def test_printing_is_caught(package, code):
    with pytest.raises(CheckFailed, match=r"prints (hello|loading|asked)"):
        check(package(code), "check_plugin_prints_nothing")


def test_what_python_warns_of_is_not_printing(package):
    code = "import warnings\nwarnings.warn('old')\n" + CODE
    with pytest.warns(UserWarning, match="old"):
        check(package(code), "check_plugin_prints_nothing")


def test_an_import_of_over_a_second_is_a_warning(package):
    with pytest.warns(CheckWarning, match=r"took 1\.\d s"):
        check(package("import time\ntime.sleep(1.05)\n" + CODE), "check_plugin_import_is_quick")


def test_a_name_that_another_plugin_offers_is_a_warning(package, monkeypatch):
    taken = Component(name="bright", summary="s", factory="a:b", needs=frozenset({"image"}))
    other = Entry("score", taken, "acme-other", "3.0")
    found = type("Found", (), {"entries": [other], "plugins": []})
    monkeypatch.setattr("anokit.testing.metadata_checks.discover", lambda: found)
    with pytest.warns(
        CheckWarning, match=r"score 'bright' of acme-other 3\.0.*use = \"kit-package"
    ):
        check(package(), "check_plugin_names_free")
