import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.select import concatenations
from curate.select.alignment import score
from curate.select.compressors import Compressor, compressor
from curate.select.concatenations import PairSizer, PairSizes, over_threads, trusted_kernel
from curate.select.lz4_kernel import kernel, pairs, plain
from curate.select.lz4_kernel.targets import prepared
from curate.select.packing import packed

LZ4 = compressor("lz4-block")
BLOCKS = [b"def ", b"return ", b"\n    ", b"self", b"x", b"\xff", b"0123456789abcdef", b"a" * 40]
SOURCE = Path(concatenations.__file__).read_bytes()
repetitive = st.lists(st.sampled_from(BLOCKS), max_size=120).map(b"".join)
noise = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.integers(0, 3_000).map(lambda size: np.random.default_rng(seed).bytes(size))
)
code = st.tuples(st.integers(0, len(SOURCE) - 20), st.integers(16, 700)).map(lambda cut: SOURCE[cut[0] : sum(cut)])
letters = st.tuples(st.integers(0, 2**32 - 1), st.integers(16, 900)).map(
    lambda drawn: bytes(np.random.default_rng(drawn[0]).integers(97, 101, drawn[1], dtype=np.uint8))
)
texts = st.lists(st.binary(max_size=40) | repetitive | noise | st.integers(0, 5_000).map(bytes), min_size=1, max_size=4)
long_texts = st.lists(
    (repetitive | noise | code | letters).filter(lambda text: len(text) >= pairs.SHORTEST_SOURCE),
    min_size=1,
    max_size=4,
)


@pytest.fixture(autouse=True)
def _kernel_for_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concatenations, "_PAIRS_WORTH_THE_KERNEL", 0)
    assert trusted_kernel(LZ4) is kernel


def measured(sources: list[bytes], targets: list[bytes]) -> PairSizes:
    sizer = PairSizer(LZ4, targets)
    sizer.prepare(len(sources))
    return sizer.sizes(packed(sources))


def library(sources: list[bytes], targets: list[bytes]) -> tuple[list[int], list[list[int]]]:
    return (
        [LZ4.size(source) for source in sources],
        [[LZ4.size(source + target) for target in targets] for source in sources],
    )


@pytest.mark.parametrize("columns", [[0], [8, 2, 5], [9, 0, 1, 7, 3, 4], [1, 1, 9, 8, 2, 3, 4]])
@pytest.mark.parametrize("shortest", [10, 60])
def test_a_subset_measures_as_all_targets_do(columns: list[int], shortest: int) -> None:
    targets = [SOURCE[start : start + shortest + start // 3] for start in range(0, 1_000, 100)]
    sources = [*targets, b"", b"short", SOURCE[-700:]]
    sizer = PairSizer(LZ4, targets)
    for _ in range(2):  # before there is a kernel, and with one
        some = sizer.subset(columns)
        some.prepare(len(sources))
        found = some.sizes(packed(sources))
        np.testing.assert_array_equal(found.joint, measured(sources, targets).joint[:, columns])
        np.testing.assert_array_equal(found.alone, [LZ4.size(source) for source in sources])
        sizer.prepare(len(sources))


@pytest.mark.parametrize(("count", "least", "workers"), [(0, 1, 2), (1, 1, 2), (7, 2, 2), (999, 10, 4), (50, 60, 3)])
def test_slices_cover_everything_once_in_equal_numbers_for_each_thread(count: int, least: int, workers: int) -> None:
    rows: list[slice] = []
    over_threads(rows.append, count, workers, least=least)
    assert sorted(row for part in rows for row in range(part.start, part.stop)) == list(range(count))
    assert len(rows) <= 1 or len(rows) % workers == 0


@settings(max_examples=2 * settings().max_examples)
@given(sources=texts, targets=texts)
@example(
    sources=[b"", b"a", b"abcd" * 3, b"abcd" * 3 + b"a", b"a" * 13, b"a" * 17], targets=[b"a", b"a" * 12, b"abcd" * 9]
)
@example(sources=[b"a" * (15 + 255 + 4 + extra) for extra in range(20)], targets=[b"", b"a" * 250, b"b" * 300])
def test_plain_sizes_equal_the_library(sources: list[bytes], targets: list[bytes]) -> None:
    alone, joint = plain.pair_sizes(packed(sources), packed(targets))
    assert (alone.tolist(), joint.tolist()) == library(sources, targets)


@settings(max_examples=5 * settings().max_examples)
@given(sources=long_texts, targets=long_texts)
@example(sources=[b"a" * 16, b"abcd" * 4, bytes(16)], targets=[b"a" * 16, b"abcd" * 9, bytes(400)])
@example(sources=[SOURCE[:600], SOURCE[600:1_200] + bytes(range(200))], targets=[SOURCE[300:900], bytes(range(256))])
def test_prepared_sizes_equal_the_library(sources: list[bytes], targets: list[bytes]) -> None:
    alone, joint = pairs.pair_sizes(packed(sources), prepared(packed(targets)))
    assert (alone.tolist(), joint.tolist()) == library(sources, targets)


def test_prepared_sizes_of_real_code_equal_the_library() -> None:
    starts = np.random.default_rng(0).integers(0, len(SOURCE) - 600, 60)
    sources = [SOURCE[start : start + 17 + 9 * number] for number, start in enumerate(starts)]
    targets = [SOURCE[start + 31 : start + 31 + 400] for start in starts[::2]]
    sizes = measured([*sources, b"", b"short"], targets)
    assert (sizes.alone.tolist(), sizes.joint.tolist()) == library([*sources, b"", b"short"], targets)


def test_sizes_equal_the_library_up_to_the_longest_texts() -> None:
    halves = [(SOURCE * 20)[:32_767], np.random.default_rng(0).bytes(32_767), bytes(32_767)]
    for targets in (halves, halves * 3):
        sizes = measured(halves, targets)
        assert (sizes.alone.tolist(), sizes.joint.tolist()) == library(halves, targets)


def test_longer_texts_go_to_the_library() -> None:
    long = [bytes(70_000), b"abc" * 30_000]
    sizes = measured(long, [b"abc" * 9])
    assert sizes.joint.tolist() == library(long, [b"abc" * 9])[1]


def test_without_numba_the_sizes_are_the_same() -> None:
    """A real interpreter in which numba cannot be imported scores like this one."""
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "from curate.select import concatenations as c, compressors, packing\n"
        "lz4 = compressors.compressor('lz4-block')\n"
        "assert c.trusted_kernel(lz4) is None\n"
        "sizer = c.PairSizer(lz4, [b'abcabd' * 20])\n"
        "sizer.prepare(10**9)\n"
        "print(sizer.sizes(packing.packed([b'abc' * 50, b'x'])).joint.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(library([b"abc" * 50, b"x"], [b"abcabd" * 20])[1])


def test_a_kernel_that_differs_from_the_library_is_not_trusted() -> None:
    other = Compressor("lz4-block", "a later library", LZ4.window, lambda data: LZ4.size(data) + (len(data) > 900))
    assert trusted_kernel(other) is None


def test_small_work_does_not_load_the_kernel() -> None:
    program = (
        "import sys; from curate.select.alignment import score; score(['a', 'b'], ['c'])\n"
        "print('numba' in sys.modules, 'torch' in sys.modules, 'duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3


@pytest.mark.parametrize("threads", [1, 2, 5, None])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_slices_cover_everything_once(threads: int | None, count: int) -> None:
    seen = np.zeros(count, dtype=int)

    def work(rows: slice) -> None:
        seen[rows] += 1

    over_threads(work, count, threads)
    assert (seen == 1).all()


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    def broken(data: bytes) -> int:
        if data.startswith(b"bad"):
            raise RuntimeError("this compressor is a fake that fails")
        return LZ4.size(data)

    with pytest.raises(RuntimeError, match="fake that fails"):
        score(["good", "bad"] * 9, ["x"], Compressor("fake", "fake", 100, broken), threads=2)


def test_no_sources_and_no_targets() -> None:
    assert measured([], [b"x"]).joint.shape == (0, 1)
    assert measured([], [SOURCE[:99]] * 20).joint.shape == (0, 20)
    assert measured([b"x"], []).joint.shape == (1, 0)


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(UsageError, match="-1 threads"):
        score(["def area(): pass"], ["def area(): pass"], threads=-1)
