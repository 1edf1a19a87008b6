"""Peak memory of one call, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Peak:
    """Resident bytes of a fresh process: at the start of the call, and the most there ever were until its end."""

    start: int
    peak: int

    @property
    def added(self) -> int:
        """How much the call added."""
        return self.peak - self.start


def peak_memory(call: Callable[..., object], *arguments: Any) -> Peak:
    """Run `call(*arguments)` in a fresh process and return its peak memory.

    The call and its arguments are pickled, so the call must be importable by name. What it starts as further processes
    is not counted. An exception of the call is raised here.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, call, arguments).result()


def _measured(call: Callable[..., object], arguments: tuple[Any, ...]) -> Peak:
    start = _peak_so_far()
    call(*arguments)
    return Peak(start, _peak_so_far())


def _peak_so_far() -> int:
    """Return the most resident bytes of this process; Linux's own figure, as getrusage's may be inherited."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
