"""How fast the key-value bottleneck learns from codes and looks keys up, and the memory that it takes.

At the size of the paper's sweeps: 256 heads of 4096 pairs, 14 dimensions a key, ten classes. Features are Gaussian:
neither speed nor memory depends on what they hold. The specification written down plainly learns from features, and
from codes in a row of its own; the package can only do the first, in small batches (see `harness.bottleneck_peers`).
The matrix products are those of features with keys, by NumPy's library, with the same number of threads; where there
is an NVIDIA GPU, the lookup is timed there as well, against the products of torch in full single precision, both on
data that lie there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.bars import Bar
from benchmarks.harness.bottleneck_peers import (
    BATCH,
    CLASSES,
    DIMENSION,
    HEADS,
    PAIRS,
    RATE,
    SMOOTHING,
    WIDTH,
    Package,
    Straightforward,
)
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.memory import peak_memory
from benchmarks.harness.paired import Timings, take_turns
from curate.learners.bottleneck.lookup import KeyIndex
from curate.learners.bottleneck.machine_code import gpu_kernel
from curate.learners.bottleneck.values import ValueTable
from curate.statistics import Interval

PACKAGES = ("curate", "discrete-key-value-bottleneck-pytorch", "numba", "numpy", "torch", "vector-quantize-pytorch")
OURS, PLAIN, PLAIN_CODES, PACKAGE = "ours, from codes", "plain, from features", "plain, from codes", "package"
LOOKUP, PRODUCTS = "lookup", "matrix products"
ITEMS: Mapping[str, int] = {OURS: 32 * BATCH, PLAIN: BATCH, PLAIN_CODES: BATCH, PACKAGE: 16}
LOOKUP_ON_GPU, PRODUCTS_ON_GPU = "lookup on a GPU", "matrix products on a GPU"
LOOKED_UP = 256
REPEATS_ON_GPU = 100
ROUNDS = 5


def run(options: Options) -> Result:
    """Measure items a second of learning and of lookup, taking turns, and peak memory in fresh processes."""
    timings = take_turns(_contenders(options.seed), ROUNDS, note=options.note)
    ours, package = (peak_memory(learn, options.seed).added for learn in (learn_ours, learn_with_package))
    return Result(
        bars=_bars(timings, ours / package),
        rows=[_row(name, items, timings) for name, items in _items().items()],
        details={"rounds": dict(timings.rounds), "bytes": {OURS: ours, PACKAGE: package}},
        packages=PACKAGES,
    )


def _items() -> dict[str, int]:
    lookups = (LOOKUP, PRODUCTS, *((LOOKUP_ON_GPU, PRODUCTS_ON_GPU) if gpu_kernel() else ()))
    return {**ITEMS, **dict.fromkeys(lookups, LOOKED_UP)}


def _contenders(seed: int) -> dict[str, Callable[[], object]]:
    generator = np.random.default_rng(seed)
    plain, package = Straightforward(seed), Package(seed)
    features, targets = _features(generator, BATCH), generator.integers(0, CLASSES, BATCH)
    codes = plain.codes(features)
    few = ITEMS[PACKAGE]
    return {
        OURS: partial(_learn, ValueTable(HEADS * PAIRS, CLASSES), *_codes(generator, ITEMS[OURS])),
        PLAIN: lambda: plain.step(plain.codes(features), targets),
        PLAIN_CODES: lambda: plain.step(codes, targets),
        PACKAGE: lambda: package.step(features[:few], targets[:few]),
        **_lookups(generator),
    }


def _lookups(generator: np.random.Generator) -> dict[str, Callable[[], object]]:
    keys = generator.standard_normal((HEADS, PAIRS, WIDTH)).astype(np.float32)
    projected = generator.standard_normal((LOOKED_UP, HEADS, WIDTH)).astype(np.float32)
    index = KeyIndex(keys, on_gpu=False)
    left, right = np.ascontiguousarray(projected.transpose(1, 0, 2)), np.ascontiguousarray(keys.transpose(0, 2, 1))
    product = np.empty((LOOKED_UP, PAIRS), np.float32)

    def products() -> None:
        for head in range(HEADS):
            np.matmul(left[head], right[head], out=product)

    on_gpu = _lookups_on_gpu(keys, projected) if gpu_kernel() else {}
    return {LOOKUP: lambda: index.nearest(projected), PRODUCTS: products, **on_gpu}


def _lookups_on_gpu(keys: NDArray[np.float32], projected: NDArray[np.float32]) -> dict[str, Callable[[], object]]:
    import torch

    gpu = gpu_kernel()
    assert gpu is not None
    there = torch.from_numpy(projected).to("cuda")
    index = gpu.GpuKeys(keys, np.float32(0.5) * np.square(keys).sum(axis=2))
    left, right = there.transpose(0, 1).contiguous(), torch.from_numpy(keys).to("cuda").transpose(1, 2).contiguous()
    product = torch.empty((HEADS, LOOKED_UP, PAIRS), device="cuda")

    def repeated(call: Callable[[], object]) -> Callable[[], object]:
        def many() -> None:
            for _ in range(REPEATS_ON_GPU):
                call()
            torch.cuda.synchronize()

        return many

    return {
        LOOKUP_ON_GPU: repeated(lambda: index.nearest_of(index.laid_out(there))),
        PRODUCTS_ON_GPU: repeated(lambda: torch.bmm(left, right, out=product)),
    }


def _features(generator: np.random.Generator, items: int) -> NDArray[np.float32]:
    return generator.standard_normal((items, DIMENSION)).astype(np.float32)


def _codes(generator: np.random.Generator, items: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    codes = generator.integers(0, PAIRS, (items, HEADS)) + PAIRS * np.arange(HEADS)
    return codes.astype(np.int32), generator.integers(0, CLASSES, items)


def _learn(values: ValueTable, codes: NDArray[np.int32], targets: NDArray[np.int64]) -> None:
    for start in range(0, len(codes), BATCH):
        part = slice(start, start + BATCH)
        values.descend(codes[part], targets[part], rate=RATE, smoothing=SMOOTHING, clip=1.0)


def learn_ours(seed: int) -> None:
    """Learn as many items as there are places in the table, codes and table made here; for measuring memory."""
    _learn(ValueTable(HEADS * PAIRS, CLASSES), *_codes(np.random.default_rng(seed), ITEMS[OURS]))


def learn_with_package(seed: int) -> None:
    """Take one step with the package on its few items; for measuring memory."""
    generator = np.random.default_rng(seed)
    few = ITEMS[PACKAGE]
    Package(seed).step(_features(generator, few), generator.integers(0, CLASSES, few))


def _bars(timings: Timings, memory: float) -> list[Bar]:
    def faster(name: str, than: str) -> Interval:
        return timings.times_faster(name, than)

    def times(than: str) -> Interval:
        found = faster(OURS, than)
        scale = ITEMS[OURS] / ITEMS[than]
        return Interval(found.low * scale, found.value * scale, found.high * scale)

    package, plain, lookup = times(PACKAGE), times(PLAIN), faster(PRODUCTS, LOOKUP)
    return [
        Bar("learning from codes, times the package", package.value, 20.0, ">=", package),
        Bar("learning from codes, times the plain specification", plain.value, 10.0, ">=", plain),
        Bar("memory, share of the package's", memory, 1 / 3, "<="),
        Bar("key lookup, times its matrix products", lookup.value, 1.2, "<=", lookup),
        *_bars_on_gpu(timings),
    ]


def _bars_on_gpu(timings: Timings) -> list[Bar]:
    if LOOKUP_ON_GPU not in timings.rounds:
        return []
    lookup = timings.times_faster(PRODUCTS_ON_GPU, LOOKUP_ON_GPU)
    return [Bar("key lookup on a GPU, times its matrix products", lookup.value, 1.2, "<=", lookup)]


def _row(name: str, items: int, timings: Timings) -> dict[str, object]:
    seconds = timings.median(name)
    return {"contender": name, "items": items, "seconds": seconds, "items/s": items / seconds}


if __name__ == "__main__":
    raise SystemExit(main("learners_speed", run))
