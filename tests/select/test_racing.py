import sysconfig
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import UsageError
from curate.select import racing
from curate.select.alignment import Aligner, Method
from curate.select.compressors import compressor
from curate.select.concatenations import trusted_kernel
from curate.select.racing import best, best_of_batches


def pieces(pattern: str, count: int) -> list[str]:
    """Real texts of about 400 characters from the files of this Python."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob(pattern))
    texts = (file.read_text("utf-8", "replace") for file in files)
    return list(islice((text[at : at + 400] for text in texts for at in range(0, len(text) - 400, 1_300)), count))


TARGETS = pieces("test/test_[g-k]*.py", 4_000)[::24][:40]
POOL = (
    pieces("*.py", 2_000)
    + pieces("test/**/*.txt", 300)
    + pieces("lib2to3/**/*.py", 200)
    + pieces("pydoc_data/*.py", 400)
)


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    assert trusted_kernel(compressor("lz4-block")) is not None
    return Aligner(TARGETS)


@pytest.fixture(scope="module")
def exact(aligner: Aligner) -> np.ndarray:
    return aligner.score(POOL)


@pytest.mark.parametrize("seed", range(3))
def test_the_race_finds_the_best_with_less_work(aligner: Aligner, exact: np.ndarray, seed: int) -> None:
    found = best(POOL, aligner, 100, seed=seed)
    wanted = set(np.argsort(-exact, kind="stable")[:100].tolist())
    assert len(wanted & set(found.rows.tolist())) >= 95
    assert found.share < 0.6
    np.testing.assert_array_equal(found.scores, exact[found.rows])
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize(("k", "close"), [(50, False), (200, False), (100, True)])
def test_the_recall_by_default(aligner: Aligner, exact: np.ndarray, k: int, close: bool) -> None:
    order = np.argsort(-exact, kind="stable")
    rows = order[len(order) // 8 :][:1_800] if close else order
    texts, wanted = [POOL[row] for row in rows], set(range(k))
    found = [best(texts, aligner, k, seed=seed) for seed in range(5)]
    assert np.mean([len(wanted & set(each.rows.tolist())) for each in found]) >= 0.98 * k


def test_texts_that_stay_are_measured_against_the_other_targets_only(
    aligner: Aligner, exact: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = racing._fit
    monkeypatch.setattr(racing, "_fit", lambda *known: (fit(*known)[0], np.inf))
    found = best(POOL, aligner, 100)
    pilots_again = racing._PILOT / (len(POOL) * len(aligner.measure.documents))
    assert 1 <= found.share <= 1.001 + pilots_again
    np.testing.assert_array_equal(found.scores, exact[found.rows])
    assert found.rows.tolist() == np.argsort(-exact, kind="stable")[:100].tolist()


def test_full_confidence_gives_the_exact_ranking_with_ties_in_order(aligner: Aligner, exact: np.ndarray) -> None:
    twice = POOL[:50] + POOL[:50]
    found = best(twice, aligner, 30, confidence=1)
    assert found.rows.tolist() == np.argsort(-np.tile(exact[:50], 2), kind="stable")[:30].tolist()
    assert found.share == 1


def test_a_race_may_be_run_again(aligner: Aligner) -> None:
    once, again = (best(POOL, aligner, 100, seed=1) for _ in range(2))
    np.testing.assert_array_equal(once.rows, again.rows)


def test_a_k_beyond_the_pool_gives_all_that_have_a_score(aligner: Aligner) -> None:
    found = best(["", POOL[0], None, POOL[1]], aligner, 10)
    assert sorted(found.rows.tolist()) == [1, 3]
    assert best([], aligner, 10).rows.tolist() == []


def test_long_texts_take_part(aligner: Aligner) -> None:
    long = "".join(POOL[:400])
    found = best([*POOL, long], aligner, len(POOL) // 3, confidence=0.999)
    score = aligner.score([long])[0]
    assert (len(POOL) in found.rows) == (score >= found.scores.min())


def stream(texts: list[str | None], size: int) -> list[pa.RecordBatch]:
    table = pa.table({"item_id": [f"{number:05}" for number in range(len(texts))], "text": texts})
    return table.to_batches(max_chunksize=size)


def test_the_best_of_a_stream_do_not_depend_on_its_batches(aligner: Aligner, exact: np.ndarray) -> None:
    expected = [f"{row:05}" for row in np.argsort(-exact, kind="stable")[:50]]
    for size in (7, 1_000):
        table = best_of_batches(stream([*POOL, None, ""], size), aligner, 50, confidence=1)
        assert table["item_id"].to_pylist() == expected


def test_a_stream_is_raced_part_by_part(aligner: Aligner, exact: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "TEXTS_AT_ONCE", 2_100)
    table = best_of_batches(stream(POOL, 500), aligner, 50)
    wanted = {f"{row:05}" for row in np.argsort(-exact, kind="stable")[:50]}
    assert len(wanted & set(table["item_id"].to_pylist())) >= 47


@pytest.mark.parametrize("at_once", [2_100, 1 << 15])
def test_copies_of_an_item_drive_no_other_out_of_the_race(
    aligner: Aligner, exact: np.ndarray, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(racing, "TEXTS_AT_ONCE", at_once)
    order = np.argsort(-exact, kind="stable")[:100]
    copies = pa.table({"item_id": [f"{order[0]:05}"] * 300, "text": [POOL[order[0]]] * 300})
    table = best_of_batches([copies, *stream(POOL, 500), copies.slice(0, 5)], aligner, 100)
    assert len({f"{row:05}" for row in order} & set(table["item_id"].to_pylist())) >= 97
    assert table.num_rows == 100


def test_copies_of_an_item_have_its_score(aligner: Aligner, exact: np.ndarray) -> None:
    ids = pa.array([*(f"{row:05}" for row in range(len(POOL))), *(f"{row:05}" for row in range(50))])
    scores = racing.Race(aligner, 100).scores([*POOL, *POOL[:50]], ids)
    np.testing.assert_array_equal(scores[len(POOL) :], scores[:50])
    told = scores[: len(POOL)] > -np.inf
    np.testing.assert_array_equal(scores[: len(POOL)][told], exact[told])


@pytest.mark.parametrize("method", [Method(reduce="max"), Method(reduce="top-m", top_m=2)])
def test_scores_of_the_nearest_targets_are_not_raced(method: Method) -> None:
    targets = Aligner(TARGETS, method)
    expected = targets.score(POOL)
    found = best(POOL, targets, 100)
    assert found.share == 1
    assert found.rows.tolist() == np.argsort(-expected, kind="stable")[:100].tolist()


def test_an_item_that_comes_twice_counts_once(aligner: Aligner) -> None:
    batches = stream(POOL[:20], 10)
    table = best_of_batches([*batches, *batches], aligner, 5)
    assert len(set(table["item_id"].to_pylist())) == 5
    assert best_of_batches([], aligner, 5).num_rows == 0


@pytest.mark.parametrize(("k", "confidence"), [(0, 0.99), (5, 0.5), (5, 1.1)])
def test_what_makes_no_race_is_refused(aligner: Aligner, k: int, confidence: float) -> None:
    with pytest.raises(UsageError):
        best(POOL[:3], aligner, k, confidence=confidence)


@pytest.mark.filterwarnings("error")
def test_targets_that_say_the_same_tell_nothing_twice() -> None:
    repeated = Aligner(TARGETS[:10] * 8)
    wanted = np.argsort(-repeated.score(POOL), kind="stable")[:60]
    assert np.isin(wanted, best(POOL, repeated, 60).rows).mean() > 0.95
