"""What a package says of its own conformance: a file that ships in it, for one version and code."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from anokit.errors import AnokitError, UsageError
from anokit.registry.entries import FoundPlugin
from anokit.store.documents import read_document, there
from anokit.store.files import write_json

FILE = "anokit-certificate.json"
"""Its name; it lies beside the module that the entry point names, where a wheel takes it along."""


class Outcome(BaseModel):
    """What one check found."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    check: str
    subject: str
    since: str
    promise: str
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""
    """why it failed or was skipped"""
    where: str = ""
    """``file:line`` of the author's code"""
    warnings: tuple[str, ...] = ()


class Certificate(BaseModel):
    """What all checks of a plugin found, for one version of it and of anokit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    plugin: str
    version: str
    code: str
    """SHA-256 of the package's Python files; empty for a module that is in no package"""
    anokit: str
    python: str
    date: str
    """day, such as 2026-01-31"""
    counts: Mapping[str, int]
    """checks that passed, failed and were skipped, and warnings"""
    checks: tuple[Outcome, ...]


@dataclass(frozen=True)
class Certified:
    """The certificate that an installed plugin ships, and whether it is of this very plugin."""

    plugin: str
    version: str
    certificate: Certificate | None
    problem: str = ""
    """why it counts for nothing; empty where it counts"""

    @property
    def text(self) -> str:
        """Return it in words."""
        said = self.certificate
        if said is None:
            return self.problem
        skipped = said.counts.get("skipped", 0)
        more = f", {skipped} skipped" if skipped else ""
        passed = f"{said.counts.get('passed', 0)} checks passed{more}"
        made = f"{passed} with anokit {said.anokit} on {said.date}"
        return f"outdated: {self.problem} ({made})" if self.problem else made

    def as_dict(self) -> dict[str, Any]:
        """Return it as `anokit list-plugins --json` prints it, the single checks left out."""
        said = self.certificate
        facts = said.model_dump(include={"anokit", "python", "date", "counts"}) if said else {}
        return {
            "plugin": self.plugin,
            "version": self.version,
            "valid": not self.problem,
            "problem": self.problem,
            "made_for": said.version if said else "",
            **facts,
        }


def certified(plugin: FoundPlugin) -> Certified | None:
    """Return the certificate that a plugin ships, or None; nothing is imported for it."""
    for module in plugin.modules:
        path = _place(module)
        if path is None or not there(path):
            continue
        try:
            found = read_document(path, Certificate)
        except AnokitError as error:
            return Certified(plugin.name, plugin.version, None, str(error))
        return Certified(plugin.name, plugin.version, found, _outdated(plugin, found))
    return None


def _outdated(plugin: FoundPlugin, found: Certificate) -> str:
    if (found.plugin, found.version) != (plugin.name, plugin.version):
        return f"made for {found.plugin} {found.version}"
    if found.code != code_of(plugin.modules):
        return "its code was changed since"
    return "a check had failed" if found.counts.get("failed") else ""


def write_certificate(certificate: Certificate, modules: tuple[str, ...]) -> Path:
    """Write a certificate into its plugin's package; return where it lies.

    Raises
    ------
    UsageError
        Where a check failed, or the plugin is no package.
    CheckpointError
        Where the file cannot be written.
    """
    failed = certificate.counts.get("failed", 0)
    if failed:
        raise UsageError(
            f"no certificate was written: {failed} checks of {certificate.plugin} fail"
        )
    path = next((place for module in modules if (place := _place(module))), None)
    if path is None:
        raise UsageError(
            f"no certificate was written: {', '.join(modules)} lies in no package; one is shipped "
            "as a file of it"
        )
    write_json(path, certificate.model_dump())
    return path


def code_of(modules: tuple[str, ...]) -> str:
    """Return the SHA-256 of names and bytes of all Python files of the packages of modules."""
    homes = sorted({home for module in modules if (home := _package(module))})
    if not homes:
        return ""
    digest = hashlib.sha256()
    for home in homes:
        for path in sorted(home.rglob("*.py"), key=lambda path: path.relative_to(home).as_posix()):
            # Line ends differ with the system that a checkout is made on.
            content = path.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{path.relative_to(home).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def _package(module: str) -> Path | None:
    """Return the folder of the topmost package that an imported module lies in."""
    top = sys.modules.get(module.partition(".")[0])
    file = getattr(top, "__file__", None)
    return Path(file).parent if file and hasattr(top, "__path__") else None


def _place(module: str) -> Path | None:
    """Return where the certificate of an imported module's plugin lies."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).with_name(FILE) if file and _package(module) else None
