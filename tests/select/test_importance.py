import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from data_selection import HashedNgramDSIR

from curate.errors import BadDataError, UnknownNameError
from curate.select import alignment, hashed_ngrams, importance, minhash
from curate.select.importance import Importance, log_weights, resample, with_gumbel_noise

POOL = [line for module in (alignment, minhash, hashed_ngrams) for line in (module.__doc__ or "").split("\n") if line]
POOL += ["def area(w, h):\n    return w * h", "for x in range(10):\n    print(x)", "rain fell on the harbour"]
TARGET = ["def perimeter(w, h):\n    return 2 * (w + h)", "for y in range(3):\n    print(y)"]


def library(folder: Path, **options: object) -> HashedNgramDSIR:
    for name, texts in (("pool", POOL), ("one", TARGET[:1]), ("two", TARGET[1:])):
        (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    targets = [str(folder / "one"), str(folder / "two")]
    found = HashedNgramDSIR(
        [str(folder / "pool")], targets, str(folder / "cache"), num_proc=1, min_example_length=0, **options
    )
    found.fit_importance_estimator()
    found.compute_importance_weights()
    return found


def test_the_library_form_has_the_librarys_weights_and_top(tmp_path: Path) -> None:
    theirs = library(tmp_path)
    expected = np.load(tmp_path / "cache" / "log_importance_weights" / "0.npy")
    weights = log_weights(POOL, TARGET, smoothing=0)
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    theirs.resample(str(tmp_path / "out"), 5, str(tmp_path / "resampled"), top_k=True)
    lines = (tmp_path / "out" / "0.jsonl").read_text().splitlines()
    assert {json.loads(line)["text"] for line in lines} == {POOL[i] for i in resample(weights, 5, "top-k").positions}


def test_several_targets_choose_in_turn_like_the_library(tmp_path: Path) -> None:
    theirs = library(tmp_path, separate_targets=True, target_proportions=[0.3, 0.7])
    weights = np.stack([log_weights(POOL, [target], smoothing=0) for target in TARGET], axis=1)
    expected = np.load(tmp_path / "cache" / "log_importance_weights" / "0.npy")
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    theirs.resample(str(tmp_path / "out"), 7, str(tmp_path / "resampled"), top_k=True)
    chosen = resample(weights, 7, "top-k", proportions=[0.3, 0.7])
    lines = (tmp_path / "out" / "0.jsonl").read_text().splitlines()
    assert {json.loads(line)["text"] for line in lines} == {POOL[i] for i in chosen.positions}
    assert chosen.targets.tolist() == [0, 0, 1, 1, 1, 1, 1]


def test_a_draw_follows_the_weights_and_repeats_with_its_seed() -> None:
    weights = np.log(np.array([0.6, 0.3, 0.1]))
    firsts = [int(resample(weights, 1, seed=seed).positions[0]) for seed in range(3_000)]
    np.testing.assert_allclose(np.bincount(firsts) / 3_000, [0.6, 0.3, 0.1], atol=0.03)
    assert resample(weights, 2, seed=5).positions.tolist() == resample(weights, 2, seed=5).positions.tolist()


def test_what_cannot_be_chosen_is_counted_and_not_raised() -> None:
    chosen = resample(np.array([1.0, np.nan, 2.0]), 5, "top-k")
    assert chosen.positions.tolist() == [2, 0]
    assert chosen.short_by == 3


def test_short_texts_have_no_weight_only_where_asked() -> None:
    assert np.isnan(log_weights(["", None, "a b"], ["a"])).tolist() == [True, True, False]
    assert np.isnan(log_weights(["a", "a b c"], ["a"], least_tokens=2)).tolist() == [True, False]


def test_a_pool_in_parts_scores_as_a_whole() -> None:
    model = Importance(TARGET)
    before = model.version
    for start in range(0, len(POOL), 7):
        model.observe(POOL[start : start + 7])
    assert model.version != before
    scores = model.score(pa.table({"item_id": [str(i) for i in range(len(POOL))], "text": POOL}))
    np.testing.assert_allclose(scores, log_weights(POOL, TARGET))
    assert np.isnan(model.score(pa.table({"item_id": ["a"]}))).all()


def test_per_ngram_the_length_plays_no_part() -> None:
    pool = [*POOL, "return w * h " * 2, "return w * h " * 40]
    weights = log_weights(pool, TARGET, importance.TRIGRAMS, per_ngram=True)
    assert abs(weights[-1] - weights[-2]) < 0.2
    total = log_weights(pool, TARGET, importance.TRIGRAMS)
    assert abs(total[-1]) > 10 * abs(total[-2])


def test_impossible_requests_say_why() -> None:
    with pytest.raises(BadDataError, match="the target has 0"):
        log_weights(POOL, [""])
    with pytest.raises(BadDataError, match="smoothing"):
        log_weights(POOL, TARGET, smoothing=-1)
    with pytest.raises(UnknownNameError):
        resample(np.zeros(2), 1, "best")  # type: ignore[arg-type]
    with pytest.raises(BadDataError, match="shared out"):
        resample(np.zeros((3, 2)), 1, proportions=[1.0])


def test_noise_draws_items_by_their_weights_wherever_they_come() -> None:
    weights, ids = np.log([0.6, 0.3, 0.1]), ["a", "b", "c"]
    firsts = [int(np.argmax(with_gumbel_noise(weights, ids, seed))) for seed in range(3_000)]
    np.testing.assert_allclose(np.bincount(firsts) / len(firsts), [0.6, 0.3, 0.1], atol=0.03)
    assert with_gumbel_noise(weights[::-1], ids[::-1], 5).tolist() == with_gumbel_noise(weights, ids, 5)[::-1].tolist()
