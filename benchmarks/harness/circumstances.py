"""Under which circumstances a figure was measured: versions, machine, commit, date. No paths and no host names."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from curate.select.concatenations import usable_cores

_ROOT = Path(__file__).resolve().parents[2]
_RESULTS = "benchmarks/results"


def circumstances(packages: Iterable[str]) -> dict[str, Any]:
    """Return versions of Python and of the packages, the machine, the commit and the date, ready for JSON."""
    return {
        "versions": {"python": platform.python_version(), **{name: installed_version(name) for name in packages}},
        "machine": machine(),
        "commit": commit(_ROOT),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, None for a missing one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """Return processor model, usable cores, memory in GiB and operating system."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit(folder: Path) -> str:
    """Return the commit of a checkout, with "-dirty" where files differ from it; results themselves do not count.

    "unknown" outside a checkout, and in one that has no commit yet.
    """
    head = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ".", f":(exclude){_RESULTS}")
    return f"{head}-dirty" if head and changes else head or "unknown"


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
