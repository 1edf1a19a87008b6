"""The best K texts by alignment without measuring every text against every target.

Texts are measured against a few targets first, and leave the race once they can hardly enter the best K any more. What
that means is learnt from a pilot: texts drawn at random, measured against all targets. A linear regression predicts the
full score from the similarities to the few targets and the text's compressed size. A second pilot is drawn from the
texts that it predicts to be the best; the errors on the pilots, each text left out of its own prediction, say how far a
prediction may be off, and those of the worse predicted pilot count. A text is dropped where even the prediction plus
`z` standard errors stays below the K-th best score known so far, z being the normal quantile of `confidence`.

Every text that is not dropped gets its exact score, so the result holds exact scores, and errs only by texts that are
missing. Where the K-th best scores lie closer together than the errors, hardly any text can be dropped: the race then
costs as much as the exact scores, and no recall.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import UsageError
from curate.select.packing import Texts, check_texts, cut, packed_strings
from curate.select.top import TopK

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from curate.select.alignment import Aligner
    from curate.select.similarity import Measure, Reduce

    Numbers = NDArray[np.float64]
    Rows = NDArray[np.int64]

_HEATS = (1, 4, 16)
"""How many targets a text is measured against, heat after heat, before all."""
_SIZES = 3
"""How many features come before the similarities."""
_NOTHING = 1e-30
_PILOT = 192
_FEWEST_TARGETS = 32
_PRICE = 0.25
"""By how much a target of mean length must lower the logarithm of the unexplained variance to be worth its cost."""
TEXTS_AT_ONCE = 1 << 15


class Ranking(NamedTuple):
    """The best texts: their positions, best first (equal scores: the earlier text), exact scores, and the work done.

    `share` is how many of all texts x targets were measured.
    """

    rows: NDArray[np.int64]
    scores: Numbers
    share: float


def best(
    texts: Sequence[str | None],
    aligner: Aligner,
    k: int,
    *,
    confidence: float = 0.99,
    seed: int = 0,
    threads: int | None = None,
) -> Ranking:
    """Return the best `k` texts by an aligner's score, or all that have a score if there are fewer.

    `confidence` is the probability with which a text that belongs to the best K stays in the race, if errors are
    normal; 1 drops nothing and gives the exact ranking. `seed` draws the pilot. Null and empty texts have no score.

    Raises:
        UsageError: k is not positive, the confidence does not lie above 0.5 and up to 1, or the texts are no strings.
    """
    import numpy as np

    check_texts(texts)
    race = Race(aligner, k, confidence=confidence, seed=seed)
    starts = range(0, len(texts), TEXTS_AT_ONCE)
    parts = [race.scores(texts[start : start + TEXTS_AT_ONCE], threads=threads) for start in starts]
    scores = np.concatenate([np.empty(0), *parts])
    ranked = np.flatnonzero(scores > -np.inf)
    ranked = ranked[np.argsort(-scores[ranked], kind="stable")][:k]
    return Ranking(ranked, scores[ranked], race.share)


def best_of_batches(
    batches: Iterable[pa.RecordBatch | pa.Table],
    aligner: Aligner,
    k: int,
    *,
    confidence: float = 0.99,
    seed: int = 0,
    threads: int | None = None,
) -> pa.Table:
    """Return the best `k` rows of a stream with the columns `item_id` and `text`: `item_id` and `score`, best first.

    Equal scores go by item id, and an item that comes twice counts once. Memory: `TEXTS_AT_ONCE` texts and 2 K rows,
    whatever the length of the stream; no row is kept that was not among the best K so far.

    Raises: as `best`.
    """
    import pyarrow as pa

    race, top = Race(aligner, k, confidence=confidence, seed=seed), TopK(k)
    kind = pa.schema([("item_id", pa.string()), ("score", pa.float64())])
    top.offer(kind.empty_table())
    for part in _regrouped(batches):
        scores = pa.array(race.scores(part["text"], threads=threads))
        found = pa.table([part["item_id"].cast(pa.string()), scores], schema=kind)
        top.offer(found.filter(pa.compute.greater(found["score"], float("-inf"))))
    return top.table()


def _regrouped(batches: Iterable[pa.RecordBatch | pa.Table]) -> Iterator[pa.Table]:
    """Yield tables of `TEXTS_AT_ONCE` rows, and the rest: a race among few texts drops few."""
    import pyarrow as pa

    held: list[pa.Table] = []
    for batch in batches:
        table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        held.append(table.select(["item_id", "text"]))
        while sum(each.num_rows for each in held) >= TEXTS_AT_ONCE:
            every = pa.concat_tables(held)
            yield every.slice(0, TEXTS_AT_ONCE)
            held = [every.slice(TEXTS_AT_ONCE)]
    if held:
        yield pa.concat_tables(held)


class _Pilot(NamedTuple):
    """Texts that were measured against all targets: see `_features` for `features`; `exact` are their scores."""

    features: Numbers
    exact: Numbers


class Race:
    """Scores texts part by part, and drops those that can hardly enter the best K of all parts so far."""

    def __init__(self, aligner: Aligner, k: int, *, confidence: float = 0.99, seed: int = 0) -> None:
        import numpy as np

        if k < 1:
            raise UsageError(f"the best {k} texts are none", hint="ask for at least one")
        if not 0.5 < confidence <= 1:
            raise UsageError(f"{confidence} is no confidence", hint="give one above 0.5, up to 1")
        self.k, self._aligner, self._confidence = k, aligner, confidence
        self._z = NormalDist().inv_cdf(confidence) if confidence < 1 else float("inf")
        self._random = np.random.default_rng(seed)
        self._best: Numbers = np.empty(0)
        self._measured = self._all = 0

    @property
    def share(self) -> float:
        """How many of all texts x targets were measured, so far."""
        return self._measured / self._all if self._all else 0.0

    def scores(self, texts: Sequence[str | None] | pa.ChunkedArray, *, threads: int | None = None) -> Numbers:
        """Return exact scores: NaN where a text is null or empty, minus infinity where it was dropped."""
        import numpy as np

        laid = packed_strings(texts)
        runners = np.flatnonzero(laid.lengths > 0)
        scores = np.where(laid.lengths > 0, -np.inf, np.nan)
        self._all += len(runners) * len(self._aligner.measure.documents)
        if self._worth_it(len(runners)):
            runners = self._race(laid, runners, scores, threads)
        self._finish(laid, runners, scores, threads)
        return scores

    def _worth_it(self, runners: int) -> bool:
        few = len(self._aligner.measure.documents) < _FEWEST_TARGETS
        return not (few or self._confidence == 1 or runners < 8 * _PILOT or runners < 2 * self.k)

    def _race(self, laid: Texts, runners: Rows, scores: Numbers, threads: int | None) -> Rows:
        """Give pilots and favourites their exact scores, and return those of the others that may be as good."""
        import numpy as np

        drawn = self._random.permutation(len(runners))
        pilot = self._fly(laid, runners[drawn[:_PILOT]], scores, threads)
        runners = np.sort(runners[drawn[_PILOT:]])
        chosen = _telling(pilot, self._aligner.measure, _HEATS[-1])
        features = self._run(chosen[: _HEATS[0]], laid, runners, threads)
        expected = features @ _fit([pilot], chosen[: _HEATS[0]])[0]
        likeliest = np.argsort(-expected, kind="stable")[: max(2 * self.k, _PILOT)]
        drawn = self._random.permutation(likeliest)[: _PILOT // 2]
        pilots = [pilot, self._fly(laid, runners[drawn], scores, threads)]
        weights, error = _fit(pilots, chosen[: _HEATS[0]])
        left = np.ones(len(runners), dtype=np.bool_)
        left[drawn] = False
        runners, expected = runners[left], features[left] @ weights
        for count in _HEATS[1:]:
            runners = runners[expected + self._z * error >= self._threshold(expected)]
            weights, error = _fit(pilots, chosen[:count])
            expected = self._run(chosen[:count], laid, runners, threads) @ weights
        first = np.argsort(-expected, kind="stable")[: self.k]
        self._finish(laid, runners[first], scores, threads)
        left = expected + self._z * error >= self._threshold(np.empty(0))
        left[first] = False
        return runners[left]

    def _threshold(self, expected: Numbers) -> float:
        """Return the K-th best of the exact scores so far and of these expected ones, or minus infinity."""
        import numpy as np

        every = np.concatenate([self._best, expected])
        return float(np.partition(every, len(every) - self.k)[-self.k]) if len(every) >= self.k else float("-inf")

    def _fly(self, laid: Texts, rows: Rows, scores: Numbers, threads: int | None) -> _Pilot:
        measure = self._aligner.measure
        self._measured += len(rows) * len(measure.documents)
        pilot = _measured(measure, laid.take(rows), threads, self._aligner.reduce)
        self._note(rows, pilot.exact, scores)
        return pilot

    def _run(self, targets: Sequence[int], laid: Texts, rows: Rows, threads: int | None) -> Numbers:
        self._measured += len(rows) * len(targets)
        return _measured(self._aligner.measure.subset(targets), laid.take(rows), threads).features

    def _finish(self, laid: Texts, rows: Rows, scores: Numbers, threads: int | None) -> None:
        self._measured += len(rows) * len(self._aligner.measure.documents)
        self._note(rows, self._aligner.score_packed(laid.take(rows), threads=threads), scores)

    def _note(self, rows: Rows, exact: Numbers, scores: Numbers) -> None:
        import numpy as np

        scores[rows] = exact
        every = np.concatenate([self._best, exact])
        self._best = np.partition(every, len(every) - self.k)[-self.k :] if len(every) > self.k else every


def _measured(measure: Measure, texts: Texts, threads: int | None, reduce: Reduce | None = None) -> _Pilot:
    """Return 1, the inverse and the logarithm of the compressed size, and the similarity to each target, of each text.

    With `reduce` also the scores, else none; a text of several pieces has the mean of theirs.
    """
    import numpy as np

    pieces, owners = cut(texts, measure.piece)
    alone, values = measure.full(pieces, threads)
    count = len(texts.lengths)
    shares = np.bincount(owners, minlength=count)

    def of_texts(column: NDArray[Any]) -> Numbers:
        means: Numbers = np.bincount(owners, column, count) / shares
        return means

    size = of_texts(alone)
    similarity = [of_texts(column) for column in values.T]
    exact = np.empty(0) if reduce is None else of_texts(reduce(values))
    return _Pilot(np.column_stack([np.ones(count), 1 / size, np.log(size), *similarity]), exact)


def _telling(pilot: _Pilot, measure: Measure, count: int) -> list[int]:
    """Choose targets one after the other, each the one that explains most of what is unexplained, for its price."""
    import numpy as np

    prices = np.array([len(document) for document in measure.documents], dtype=np.float64)
    prices *= _PRICE / prices.mean()
    basis, _ = np.linalg.qr(pilot.features[:, :_SIZES])
    columns, rest = pilot.features[:, _SIZES:], pilot.exact
    columns, rest = columns - basis @ (basis.T @ columns), rest - basis @ (basis.T @ rest)
    chosen: list[int] = []
    for _ in range(count):
        lengths = np.maximum((columns**2).sum(axis=0), _NOTHING)
        explained = (columns.T @ rest) ** 2 / lengths
        value = np.log(np.maximum(rest @ rest - explained, _NOTHING)) + prices
        value[chosen] = np.inf
        chosen.append(int(value.argmin()))
        axis = columns[:, chosen[-1]] / np.sqrt(lengths[chosen[-1]])
        columns, rest = columns - np.outer(axis, axis @ columns), rest - axis * (axis @ rest)
    return chosen


def _fit(pilots: Sequence[_Pilot], targets: Sequence[int]) -> tuple[Numbers, float]:
    """Return least-squares weights and the standard error of a prediction for a text that is not among the pilots.

    The error is that of the group of pilots where it is largest: the likeliest texts err more than the average one.
    """
    import numpy as np

    columns = [*range(_SIZES), *(_SIZES + target for target in targets)]
    features = np.concatenate([pilot.features[:, columns] for pilot in pilots])
    exact = np.concatenate([pilot.exact for pilot in pilots])
    weights, *_ = np.linalg.lstsq(features, exact, rcond=None)
    basis, _ = np.linalg.qr(features)
    errors = (exact - features @ weights) / np.maximum(1 - (basis**2).sum(axis=1), _NOTHING)
    groups = np.split(errors**2, np.cumsum([len(pilot.exact) for pilot in pilots])[:-1])
    return weights, float(np.sqrt(max(group.mean() for group in groups)))
