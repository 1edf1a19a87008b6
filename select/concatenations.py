"""Compressed sizes of every source alone and followed by every target: where alignment spends its time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from curate.select.compressors import Compressor

_KERNEL = "curate.select.lz4_kernel"
_PAIRS_WORTH_THE_KERNEL = 100_000
"""With fewer pairs the library is done (0.3 s) before numba is imported and the machine code loaded."""
_SLICES_PER_THREAD = 8


class PairSizes(NamedTuple):
    """`alone[i]` is C(source i) and `joint[i, j]` is C(source i + target j), in bytes: int32."""

    alone: NDArray[np.int32]
    joint: NDArray[np.int32]


def pair_sizer(compressor: Compressor, targets: Sequence[bytes], pairs: int) -> Callable[[Sequence[bytes]], PairSizes]:
    """Return a function that measures sources alone and followed by each target; several threads may call it at once.

    The sizes are those of `compressor.size`, to the byte: for LZ4 blocks a kernel that counts without writing takes
    over where numba is installed, the work (`pairs` in all) is worth it, and it repeats the installed library's sizes.
    """
    kernel = _kernel(compressor, pairs)
    if kernel is None or not targets:
        return lambda sources: _library_sizes(compressor, sources, targets)
    packed, longest_source = kernel.packed(targets), kernel.LONGEST - max(map(len, targets))

    def sizes(sources: Sequence[bytes]) -> PairSizes:
        if max(map(len, sources), default=0) > longest_source:
            return _library_sizes(compressor, sources, targets)
        return PairSizes(*kernel.pair_sizes(kernel.packed(sources), packed))

    return sizes


def _library_sizes(compressor: Compressor, sources: Sequence[bytes], targets: Sequence[bytes]) -> PairSizes:
    import numpy as np

    size = compressor.size
    alone = np.array([size(source) for source in sources], dtype=np.int32)
    joint = np.array([[size(source + target) for target in targets] for source in sources], dtype=np.int32)
    return PairSizes(alone, joint.reshape(len(sources), len(targets)))


def _kernel(compressor: Compressor, pairs: int) -> ModuleType | None:
    """Return the kernel that may stand in for the compressor, or None."""
    if compressor.name != "lz4-block" or (pairs < _PAIRS_WORTH_THE_KERNEL and _KERNEL not in sys.modules):
        return None
    return trusted_kernel(compressor)


@cache
def trusted_kernel(compressor: Compressor) -> ModuleType | None:
    """Return the LZ4 kernel if it runs here and repeats the compressor's sizes on a sample, else None.

    It may not run for want of numba, and may differ on another architecture or from a later library.
    """
    try:
        import numba

        from curate.select import lz4_kernel
    except ImportError:
        return None
    settings: Any = numba.config
    if settings.DISABLE_JIT:
        return None
    prose = (lz4_kernel.__doc__ or "").encode()
    sample = [prose[start : start + start // 4] for start in range(0, len(prose), 97)] + [b"a" * 700, bytes(range(256))]
    packed = lz4_kernel.packed(sample)
    found, expected = lz4_kernel.pair_sizes(packed, packed), _library_sizes(compressor, sample, sample)
    same = all((one == other).all() for one, other in zip(found, expected, strict=True))
    return lz4_kernel if same else None


def over_threads(work: Callable[[slice], None], count: int, threads: int | None = None) -> None:
    """Call `work` on slices that cover `range(count)`, on as many threads as there are cores, and wait for all.

    There are more slices than threads, so that a thread that meets long texts does not hold up the rest. What `work`
    raises is raised here.
    """
    workers = threads or usable_cores()
    parts = min(count, 1 if workers == 1 else workers * _SLICES_PER_THREAD)
    slices = [slice(count * part // parts, count * (part + 1) // parts) for part in range(parts)]
    if parts < 2:
        for rows in slices:
            work(rows)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, slices):
            pass


def usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
