"""Whether the inner loops run in machine code, where numba is installed and not switched off, or on a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

NVIDIA = Path("/dev/nvidiactl")
"""Where the driver of NVIDIA's GPUs is: looking there takes microseconds, importing torch seconds."""
_WORTH_THREADS = 20_000_000  # operations: some milliseconds, a hundred times what it costs to hand them out


@cache
def kernel() -> ModuleType | None:
    """Return the compiled loops, or None where numba is missing; the first call on a machine compiles for seconds."""
    try:
        import numba

        from curate.learners.bottleneck import kernel as compiled
    except ImportError:
        return None
    settings: Any = numba.config
    return None if settings.DISABLE_JIT else compiled


@cache
def gpu_kernel() -> ModuleType | None:
    """Return the lookup on a GPU, or None where there is none, or neither torch nor Triton that can use it."""
    if not (NVIDIA.exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")):
        return None
    try:
        import torch

        from curate.learners.bottleneck import gpu_kernel as compiled
    except ImportError:
        return None
    return compiled if torch.cuda.is_available() else None


def shared_out(call: Callable[[slice], object], parts: int, operations: int) -> None:
    """Call for slices that cover `parts`, in threads where that many operations are worth it; the loops free the lock.

    What a part computes must not depend on the slice that it is in, so that no result depends on the processors.
    """
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, parts)
    if workers < 2 or operations < _WORTH_THREADS:
        call(slice(0, parts))
        return
    borders = [parts * worker // workers for worker in range(workers + 1)]
    list(_threads().map(call, map(slice, borders, borders[1:])))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="bottleneck")
