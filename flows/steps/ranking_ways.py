"""The ways of a `[[ranking]]`: what each makes of texts, of scores, or of an order, wherever these come from."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.select import importance, tfidf
from curate.select.baselines import LengthSelector, RandomSelector
from curate.select.diversity import entropy_law_order, facility_location_order, without_near_duplicates
from curate.select.fusion import borda, reciprocal_rank, weighted_sum
from curate.select.importance import Importance, with_gumbel_noise
from curate.select.minhash import MinHash
from curate.select.tfidf import Tfidf
from curate.settings import RankingSettings
from curate.types import PLACES

Scores = NDArray[np.float64]
Positions = NDArray[np.int64]
Scorer = Importance | Tfidf | LengthSelector | RandomSelector
_FUSIONS = {"borda": borda, "reciprocal-rank": reciprocal_rank, "weighted-sum": weighted_sum}
_PASS = "1"
"""The version of the passes; it grows whenever one would give another order."""


class Passed(NamedTuple):
    """What a pass makes of candidates, as positions: those in front, and those at the end; the others stay between."""

    front: Positions
    back: Positions


def version_of(ranking: RankingSettings, targets: Sequence[str], encoder: str) -> str:
    """Return method and parameters: equal versions give equal scores of the same items beside the same others.

    Numbers stand in full: those that round to the same are others. `targets` are the texts to be like, `encoder` the
    version of what gives the vectors, where the way asks for them.
    """
    if ranking.by in ("length", "random"):
        return scorer_of(ranking, targets).version
    if ranking.by == "importance":
        mode = ranking.mode if ranking.mode == "top-k" else f"{ranking.mode} seed-{ranking.seed}"
        features = importance.WORD_PAIRS.name
        return f"{importance.METHOD} {features} smoothing-{ranking.smoothing!r} {mode} target-{_fingerprint(targets)}"
    if ranking.by == "tfidf":
        return f"{tfidf.METHOD} target-{_fingerprint(targets)}"
    if ranking.by in _FUSIONS:
        weights = (f"{selector}={float(ranking.weights.get(selector, 1))!r}" for selector in ranking.of)
        return " ".join([f"{ranking.by}:{_PASS}", *weights])
    named = [f"{PLACES}{_PASS} {ranking.by}", f"of-{ranking.of[0]}", f"candidates-{ranking.candidates}"]
    if ranking.by == "without-near-duplicates":
        return " ".join([*named, f"threshold-{ranking.threshold!r}", MinHash(ranking.threshold).version])
    return " ".join([*named, f"chosen-{ranking.chosen}", *([encoder] if encoder else [])])


def scorer_of(ranking: RankingSettings, targets: Sequence[str]) -> Scorer:
    """Return what scores texts; it scores nothing before it has seen the pool (`observe`).

    Raises:
        BadDataError: no target has a word.
    """
    if ranking.by == "importance":
        return Importance(targets, smoothing=ranking.smoothing)
    if ranking.by == "tfidf":
        return Tfidf(targets)
    return LengthSelector() if ranking.by == "length" else RandomSelector(ranking.seed)


def observe(scorer: Scorer, items: pa.Table | pa.RecordBatch) -> None:
    """Show a part of the pool to a scorer that depends on it."""
    if isinstance(scorer, Importance | Tfidf):
        scorer.observe(items.column("text").to_pylist())


def scores_by(ranking: RankingSettings, scorer: Scorer, items: pa.Table) -> Scores:
    """Return the score of each item; NaN where it has no text that can be scored.

    Raises:
        BadDataError: neither target nor pool, or only one of them, has a word.
    """
    scores = scorer.score(items)
    if ranking.by == "importance" and ranking.mode == "gumbel":
        return with_gumbel_noise(scores, items.column("item_id").to_pylist(), ranking.seed)
    return scores


def fused_by(ranking: RankingSettings, scores: Mapping[str, Scores]) -> Scores:
    """Return the fusion of several selectors' scores of the same items; a selector without an opinion comes last."""
    weights = [float(ranking.weights.get(selector, 1)) for selector in ranking.of]
    return _FUSIONS[ranking.by]([scores[selector] for selector in ranking.of], weights)


def passed_by(
    ranking: RankingSettings, texts: Sequence[str | None], vectors: NDArray[np.float32] | None, chosen: int
) -> Passed:
    """Return what a pass makes of candidates that stand in order, the best first, of which it chooses so many.

    `vectors` has a row for each candidate, zeros where none is known; such a candidate is not chosen.
    """
    nobody = np.zeros(0, np.int64)
    if ranking.by == "without-near-duplicates":
        kept = without_near_duplicates(texts, MinHash(ranking.threshold))
        return Passed(kept, np.setdiff1d(np.arange(len(texts)), kept))
    if ranking.by == "entropy-law":
        filled = np.flatnonzero([bool(text) for text in texts])
        return Passed(filled[entropy_law_order([text for text in texts if text], chosen)], nobody)
    assert vectors is not None
    known = with_vector(vectors)
    if not len(known):
        return Passed(nobody, nobody)
    return Passed(known[facility_location_order(vectors[known].astype(np.float64), chosen)], nobody)


def with_vector(vectors: NDArray[np.float32]) -> Positions:
    """Return the positions of vectors that have a direction: finite, and not all zeros."""
    return np.flatnonzero(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1))


def in_places(count: int, passed: Passed) -> Positions:
    """Return the positions of `count` candidates and those behind them in the order that a pass gives.

    >>> in_places(5, Passed(np.array([2, 0]), np.array([1]))).tolist()
    [2, 0, 3, 4, 1]
    """
    between = np.setdiff1d(np.arange(count), np.concatenate(passed))
    return np.concatenate([passed.front, between, passed.back])


def _fingerprint(targets: Sequence[str]) -> str:
    digest = sha256()
    for target in targets:
        encoded = target.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()[:16]
