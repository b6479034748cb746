"""What check-plugin prints, by cause, and the certificate that it writes and list-plugins shows."""

import inspect
import json
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from anokit import Component, hookimpl
from anokit.errors import CheckpointError, UsageError
from anokit.registry.entries import FoundPlugin
from anokit.store.certificate import FILE, Certificate, certified, code_of, write_certificate
from anokit.testing import collect_checks
from anokit.testing.causes import grouped
from anokit.testing.subject import plugin_of
from anokit.testing.table import Checked, print_results, run_checks

PLUGIN = """
from anokit import Component, hookimpl

@hookimpl
def anokit_scores():
    yield Component(
        name="bright", summary="s", factory="{package}.score:Bright", needs=frozenset({{"image"}})
    )
"""

SCORE = """
class Bright:
    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.image.mean(dim=(1, 2, 3))
"""


def checked(monkeypatch, factory):
    """Return what the checks of a score find."""
    module = ModuleType("kit_toy")

    def anokit_scores():
        image = frozenset({"image"})
        yield Component(name="toy", summary="A toy", factory=factory, needs=image)

    module.anokit_scores = hookimpl(anokit_scores)
    monkeypatch.setitem(sys.modules, "kit_toy", module)
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    checks = [c for c in collect_checks(module) if c.name.startswith("check_score")]
    return Checked(plugin_of("kit_toy"), tuple(run_checks(checks)))


class Raising:
    """A score that raises whatever it is given."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        raise ValueError("shapes do not fit")


class Wide(Raising):
    """A score of the wrong shape."""

    def __call__(self, trip):
        return trip.image.mean(dim=(2, 3))


class Unmade(Raising):
    """A score that cannot be built."""

    def __init__(self, options):
        raise OSError("no weights here")


def test_one_fault_that_fails_many_checks_is_shown_once_with_its_line(monkeypatch, capsys):
    found = checked(monkeypatch, Raising)
    (cause,) = grouped(found.results)
    assert cause.message == "ValueError: shapes do not fit"
    assert len(cause.checks) == found.counts["failed"] > 5
    line = Raising.__call__.__code__.co_firstlineno + 1
    assert cause.where == f"{__file__}:{line}"
    print_results(found)
    err = capsys.readouterr().err
    assert err.count("shapes do not fit") == 1
    assert f"toy  {__file__}:{line}" in err
    assert "check_score_shape[toy]: B images get B numbers" in err


def test_what_the_kit_says_alike_but_for_figures_is_one_cause(monkeypatch):
    causes = grouped(checked(monkeypatch, Wide).results)
    (cause,) = [one for one in causes if "check_score_shape[toy]" in one.checks]
    assert "expected [6]" in cause.message
    assert "check_score_one_image[toy]" in cause.checks  # of one image
    line = inspect.getsourcelines(Wide)[1]
    assert cause.where == f"{__file__}:{line}"


def test_a_constructor_that_raises_is_one_cause(monkeypatch):
    (cause,) = grouped(checked(monkeypatch, Unmade).results)
    assert cause.message == "OSError: no weights here"
    assert cause.where.endswith(f":{Unmade.__init__.__code__.co_firstlineno + 1}")


def test_skipped_checks_say_why_and_warnings_are_shown_and_fail_nothing(monkeypatch, capsys):
    found = checked(monkeypatch, Raising)
    passed = replace(found, results=(found.results[0].model_copy(update={"outcome": "passed"}),))
    warned = passed.results[0].model_copy(update={"warnings": ("too slow",)})
    skipped = warned.model_copy(update={"outcome": "skipped", "message": "no data", "warnings": ()})
    print_results(replace(found, results=(warned, skipped)))
    out, err = capsys.readouterr()
    assert "skipped\n  check_score_shape[toy]\n    no data\n" in out
    assert "warnings\n  check_score_shape[toy]\n    too slow\n" in out
    assert "1 passed, 1 skipped, 1 warnings" in out
    assert not err


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a plugin that is a package; return it and its folder."""
    name = f"kit_certified_{abs(hash(tmp_path)) % 10**8}"
    monkeypatch.syspath_prepend(tmp_path)
    home, info = tmp_path / name, tmp_path / f"{name}-1.2.dist-info"
    home.mkdir()
    info.mkdir()
    (home / "__init__.py").write_text("")
    (home / "plugin.py").write_text(PLUGIN.format(package=name))
    (home / "score.py").write_text(SCORE)
    dist = name.replace("_", "-")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {dist}\nVersion: 1.2\nSummary: s\nLicense-Expression: MIT\n"
        "Keywords: anokit\nRequires-Python: >=3.11\nRequires-Dist: anokit<0.2,>=0.1\n\n# s\n"
        '```toml\ntitle = "t"\n[dataset]\nuse = "elsewhere"\n[backbone]\nuse = "nowhere"\n```\n'
    )
    (info / "entry_points.txt").write_text(f"[anokit]\nx = {name}.plugin\n")
    monkeypatch.setenv("ANOKIT_PLUGINS", dist)
    yield dist, home
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]


def test_a_certificate_is_written_shipped_shown_and_outdated(anokit, package):
    name, home = package
    before = anokit("list-plugins")
    assert "conformance" not in before.out
    done = anokit("check-plugin", name, "--certificate")
    assert done.code == 0, done.err
    assert f"certificate written: {home / FILE}" in done.err
    kept = json.loads((home / FILE).read_text())
    assert (kept["plugin"], kept["version"], kept["counts"]["failed"]) == (name, "1.2", 0)
    listed = anokit("list-plugins").out
    assert f"\n  {name} 1.2: {kept['counts']['passed']} checks passed, " in listed
    (one,) = json.loads(anokit("list-plugins", "--json").out)["certificates"]
    assert (one["plugin"], one["valid"], one["made_for"]) == (name, True, "1.2")
    assert one["counts"] == kept["counts"]
    assert "checks" not in one
    (home / "score.py").write_text(SCORE + "\nMORE = 1\n")
    assert f"{name} 1.2: outdated: its code was changed since (" in anokit("list-plugins").out
    (one,) = json.loads(anokit("list-plugins", "--json").out)["certificates"]
    assert not one["valid"]


def test_a_certificate_counts_for_one_version_and_a_damaged_one_for_none(anokit, package):
    name, home = package
    anokit("list-plugins")  # imports the plugin's module
    module = f"{home.name}.plugin"
    plugin = FoundPlugin(name, "1.2", (module,))
    certificate = Certificate(
        plugin=name,
        version="1.1",
        code=code_of((module,)),
        anokit="0.1.0",
        python="3.11.0",
        date="2026-01-31",
        counts={"passed": 3, "failed": 0},
        checks=(),
    )
    write_certificate(certificate, (module,))
    assert certified(plugin).problem == f"made for {name} 1.1"
    write_certificate(certificate.model_copy(update={"version": "1.2"}), (module,))
    assert certified(plugin).text == "3 checks passed with anokit 0.1.0 on 2026-01-31"
    failed = certificate.model_copy(update={"counts": {"failed": 2}})
    with pytest.raises(UsageError, match=r"2 checks of .* fail"):
        write_certificate(failed, (module,))
    (home / FILE).write_text("[1, 2")
    assert FILE in certified(plugin).problem
    listed = anokit("list-plugins")
    assert listed.code == 0
    assert FILE in listed.out


def test_a_module_that_is_no_package_gets_no_certificate(monkeypatch):
    monkeypatch.setitem(sys.modules, "kit_single", ModuleType("kit_single"))
    empty = Checked(FoundPlugin("kit-single", "1", ("kit_single",)), ())
    with pytest.raises(UsageError, match="kit_single lies in no package"):
        write_certificate(empty.certificate, empty.plugin.modules)
    assert certified(empty.plugin) is None


def test_a_plugin_that_fails_gets_no_certificate(anokit, package):
    name, home = package
    (home / "score.py").write_text(SCORE.replace("dim=(1, 2, 3)", "dim=(2, 3)"))
    done = anokit("check-plugin", name, "--certificate")
    assert done.code == 1
    assert not (home / FILE).exists()


def test_a_folder_that_cannot_be_written_to_is_said_to_be_one(anokit, package, monkeypatch):
    name, home = package
    (home / FILE).mkdir()
    done = anokit("check-plugin", name, "--certificate")
    assert done.code == CheckpointError.exit_code
    assert FILE in done.err
