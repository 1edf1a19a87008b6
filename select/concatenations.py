"""Compressed sizes of every source alone and followed by every target: where alignment spends its time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import BadDataError, UsageError
from curate.select.packing import Texts, packed

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from curate.select.compressors import Compressor
    from curate.select.lz4_kernel.kernel import Sizer

_KERNEL = "curate.select.lz4_kernel.kernel"
_PAIRS_WORTH_THE_KERNEL = 100_000
"""With fewer pairs the library is done (0.3 s) before numba is imported and the machine code loaded."""
_SLICES_PER_THREAD = 32


class PairSizes(NamedTuple):
    """`alone[i]` is C(source i) and `joint[i, j]` is C(source i + target j), in bytes: int32."""

    alone: NDArray[np.int32]
    joint: NDArray[np.int32]


class PairSizer:
    """Measures sources alone and followed by each target; several threads may use it at once.

    The sizes are those of `compressor.size`, to the byte: for LZ4 blocks a kernel that counts without writing takes
    over where numba is installed, the work is worth it, and it repeats the installed library's sizes.
    """

    def __init__(self, compressor: Compressor, targets: Sequence[bytes]) -> None:
        self._compressor, self._targets = compressor, targets
        self._longest = 0
        self._measure: Sizer | None = None
        self._columns: NDArray[np.int64] | None = None

    def prepare(self, sources: int) -> None:
        """Make ready for so many sources, before threads share the work: the kernel is loaded here if it pays.

        What it makes ready of the targets serves all later calls, and most subsets.
        """
        kernel = _kernel(self._compressor, sources * len(self._targets))
        if kernel is not None and self._measure is None and self._targets:
            self._measure = kernel.sizer(self._targets)
            self._longest = kernel.LONGEST - max(map(len, self._targets))

    def sizes(self, sources: Texts) -> PairSizes:
        """Return the sizes of these sources."""
        if self._measure is None or sources.lengths.max(initial=0) > self._longest:
            return _library_sizes(self._compressor, sources, self._targets)
        return PairSizes(*self._measure(sources, self._columns))

    def subset(self, columns: Sequence[int]) -> PairSizer:
        """Return what measures against some of the targets only; of many of them nothing is made ready anew."""
        import numpy as np

        result = PairSizer(self._compressor, [self._targets[column] for column in columns])
        if self._measure is not None and self._columns is None and 2 * len(columns) > len(self._targets):
            result._measure, result._longest = self._measure, self._longest
            result._columns = np.array(columns, dtype=np.int64)
        return result


def _library_sizes(compressor: Compressor, sources: Texts, targets: Sequence[bytes]) -> PairSizes:
    import numpy as np

    size, texts = compressor.size, sources.as_bytes()
    every = [[size(source), *(size(source + target) for target in targets)] for source in texts]
    sizes = np.array(every, dtype=np.float64).reshape(len(texts), 1 + len(targets))
    if not (sizes >= 1).all():  # which NaN is not either
        wrong = sizes[~(sizes >= 1)][0]
        raise BadDataError(
            f"compressor {compressor.name!r} measured a text at {wrong:g} bytes",
            unchanged="no score was given",
            hint="its size function must return the number of bytes, at least 1",
        )
    return PairSizes(sizes[:, 0].astype(np.int32), sizes[:, 1:].astype(np.int32))


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

        from curate.select.lz4_kernel import kernel
    except ImportError:
        return None
    settings: Any = numba.config
    if settings.DISABLE_JIT or sys.byteorder != "little":
        return None
    prose = kernel.SAMPLE
    sample = [prose[start : start + start // 4] for start in range(97, len(prose), 97)] + [
        b"a" * 700,
        bytes(range(256)),
    ]
    expected = _library_sizes(compressor, packed(sample), sample)
    for targets in (slice(None), slice(3)):
        found = kernel.sizer(sample[targets])(packed(sample))
        if not ((found[0] == expected.alone).all() and (found[1] == expected.joint[:, targets]).all()):
            return None
    return kernel


def over_threads(work: Callable[[slice], None], count: int, threads: int | None = None, *, least: int = 1) -> None:
    """Call `work` on slices that cover `range(count)`, on as many threads as there are cores, and wait for all.

    There are more slices than threads, so that a thread that meets long texts does not hold up the rest; each has
    about `least` rows or more, so that it is worth its start, and there are as many for each thread. What `work` raises
    is raised here.

    Raises:
        UsageError: the number of threads is negative.
    """
    if threads is not None and threads < 0:
        raise UsageError(f"{threads} threads do no work", hint="give 1 or more, or None for as many as there are cores")
    workers = threads or usable_cores()
    parts = _parts(-(-count // least), workers)
    slices = [slice(count * part // parts, count * (part + 1) // parts) for part in range(parts)]
    pending = iter(slices)

    def work_on() -> None:
        try:
            for rows in pending:  # threads may share an iterator over a list
                work(rows)
        except BaseException:
            for _ in pending:
                pass  # nobody begins what is left
            raise

    helpers = min(workers, parts) - 1
    if helpers < 1:
        work_on()
        return
    with ThreadPoolExecutor(helpers) as pool:
        helping = [pool.submit(work_on) for _ in range(helpers)]
        work_on()
    for each in helping:
        each.result()


def _parts(most: int, workers: int) -> int:
    """Return into how many slices work goes that is worth at most so many: as many for each of the workers.

    >>> [_parts(most, 2) for most in (0, 1, 3, 1_000)]
    [0, 1, 4, 64]
    """
    if workers == 1 or most < 2:
        return min(most, 1)
    return min(-(-most // workers), _SLICES_PER_THREAD) * workers


def usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
