"""What `doctor` looks at; every check answers with findings and never raises."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from curate import __version__
from curate.cli.invocation import Invocation
from curate.errors import CurateError
from curate.store.address import Address, LakeAddress

State = Literal["ok", "missing", "broken", "note"]
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_DEVELOPERS = {"all", "benchmarks", "lint", "test"}
_SCARCE_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; "missing" is fine where it is not needed, "broken" never is."""

    what: str
    state: State
    detail: str


def check_installation() -> Iterator[Finding]:
    """Look at Python, the packages that curate needs, and the extras."""
    yield Finding("curate", "ok", __version__)
    yield Finding("python", "ok", f"{platform.python_version()}, {sys.executable}")
    requirements = _requirements()
    if not requirements:
        yield Finding("packages", "note", "curate runs from a folder and is not installed, so its needs are unknown")
    for package in requirements.get("", []):
        version = _version(package)
        yield Finding(f"package {package}", "ok" if version else "broken", version or "not installed")
    for extra in sorted(set(requirements) - {""} - _DEVELOPERS):
        yield _check_extra(extra, requirements)


def check_project(invocation: Invocation) -> Iterator[Finding]:
    """Find and read the project; afterwards the invocation knows the store's folder."""
    try:
        file = invocation.find_project_file()
    except CurateError as error:
        yield Finding("project", "missing", f"{error.message}; {error.hint}")
        return
    try:
        invocation.load()
    except CurateError as error:
        yield Finding("project", "broken", f"{error.message} {error.hint}".strip())
        return
    yield Finding("project", "ok", str(file) if file else "none, the store is named")


def check_store(folder: Path, *, all_items: bool = False) -> Iterator[Finding]:
    """Look at the store's folder, its disk, its lease and what it holds; `all_items` spares nothing."""
    from curate.store.lease import holder

    above = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(above).free
    yield Finding("disk", "ok" if free > _SCARCE_BYTES else "broken", f"{free / 2**30:.1f} GiB free")
    if not folder.is_dir():
        state: State = "broken" if folder.exists() or not os.access(above, os.W_OK) else "missing"
        yield Finding("store", state, f"{folder} is no folder" if folder.exists() else f"{folder}; curate run makes it")
        return
    writable = os.access(folder, os.W_OK)
    yield Finding("store", "ok" if writable else "broken", str(folder) + ("" if writable else " cannot be written"))
    writer = holder(folder)
    yield Finding("writer", "note" if writer else "ok", str(writer or "nobody"))
    published = _check_published(folder)
    yield published
    if published.state == "ok":
        yield from _check_integrity(folder, all_items)


def check_lake(address: LakeAddress, *, all_items: bool = False) -> Iterator[Finding]:
    """Look at a store on DuckLake: whether its catalog answers, who writes, and what it holds."""
    from curate.store.overview import newest_commit, writer

    try:
        number, holder = newest_commit(address), writer(address)
    except CurateError as error:
        yield Finding("store", "broken", f"{error.message}; {error.hint}")
        return
    yield Finding("store", "ok" if number else "missing", f"{address}" if number else f"{address}; curate run makes it")
    yield Finding("writer", "note" if holder else "ok", str(holder or "nobody"))
    if number:
        yield from _check_integrity(address, all_items)


def _check_integrity(address: Address, all_items: bool) -> Iterator[Finding]:
    from curate.store.care.integrity import SAMPLE, check_integrity

    for check in check_integrity(address, sample=None if all_items else SAMPLE):
        detail = f"{check.detail}; {check.remedy}" if check.remedy else check.detail
        yield Finding(check.what, "ok" if check.sound else "broken", detail)


def _check_published(folder: Path) -> Finding:
    from curate.store.manifest import PUBLISHED_FOLDER, read_manifest

    try:
        manifest = read_manifest(folder)
    except CurateError as error:
        return Finding("published", "broken", f"{error.message}; {error.hint}")
    files = [segment.file for segments in manifest.tables.values() for segment in segments]
    lost = [file for file in files if not (folder / PUBLISHED_FOLDER / file).is_file()]
    if lost:
        detail = f"{len(lost)} of {len(files)} segments are gone, for instance {lost[0]}"
        anew = f"delete {PUBLISHED_FOLDER}/ inside the store; the next writing command publishes it anew"
        return Finding("published", "broken", f"{detail}; {anew}")
    return Finding("published", "ok", f"commit {manifest.commit_number}, {len(files)} segments")


def _check_extra(extra: str, requirements: dict[str, list[str]]) -> Finding:
    lacking = [package for package in requirements[extra] if not _version(package)]
    if not lacking:
        return Finding(f"extra {extra}", "ok", ", ".join(f"{name} {_version(name)}" for name in requirements[extra]))
    return Finding(f"extra {extra}", "missing", f"{', '.join(lacking)}; pip install 'curate[{extra}]'")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _requirements() -> dict[str, list[str]]:
    """The packages of each extra, those that are always needed under ""; {} where curate is not installed."""
    try:
        lines = metadata.requires("curate") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    nested: list[tuple[str, str]] = []
    for line in lines:
        extra, requirement = _EXTRA.search(line), _REQUIREMENT.match(line)
        assert requirement is not None
        name = extra[1] if extra else ""
        packages = found.setdefault(name, [])
        if requirement[1] == "curate":
            nested += [(name, part.strip()) for part in (requirement[2] or "").split(",")]
        else:
            packages.append(requirement[1])
    for name, part in nested:
        found[name] += [package for package in found.get(part, []) if package not in found[name]]
    return found
