"""The best K texts by alignment without measuring every text against every target.

Texts are measured against a few targets first, and leave the race once they can hardly enter the best K any more. What
that means is learnt from a pilot: texts drawn at random, measured against all targets. A linear regression predicts the
full score from the similarities to the few targets and the text's compressed size. A second pilot is drawn from the
texts that it predicts to be the best; the errors on the pilots, each text left out of its own prediction, say how far a
prediction may be off, and those of the worse predicted pilot count. A text is dropped where even the prediction plus
`z` standard errors stays below the K-th best score known so far, z being the normal quantile of `confidence`.

Every text that is not dropped gets its exact score, so the result holds exact scores, and errs only by texts that are
missing. Texts that stay are measured against the other targets only, unless they are long. Where the K-th best scores
lie closer together than the errors, few texts can be dropped: the race then costs about as much as the exact scores.
With fewer than 32 targets, or where a score is the mean of fewer than 8 of them (`max`), every text is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import UsageError
from curate.select.best_so_far import BestSoFar
from curate.select.blas import one_blas_thread
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
"""How many targets a text is measured against, heat after heat."""
_LAST_HEAT = 40
"""Against how many those besides the likeliest K are measured, once these have exact scores; at most half of all."""
_SIZES = 3
"""How many features come before the similarities."""
_NOTHING, _NOTHING_LEFT = 1e-30, 1e-10
_PILOT = 192
_FEWEST_TARGETS = 32
_FEWEST_NEAREST = 8
"""Of how many similarities a score must be the mean: the nearest target alone cannot be foretold from the others."""
_PRICE = 0.25
"""By how much a target of mean length must lower the logarithm of the unexplained variance to be worth its cost."""
_PAIRS_PER_PAIR_MEASURED = 16
"""Of how many pairs one is measured, where the race goes well."""
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
    confidence: float = 0.999,
    seed: int = 0,
    threads: int | None = None,
) -> Ranking:
    """Return the best `k` texts by an aligner's score, or all that have a score if there are fewer.

    `confidence` is the probability with which a text of the K-th best score survives each of the four cuts, if errors
    are normal; 1 drops nothing and gives the exact ranking. `benchmarks.alignment` measures how many of the best K are
    found: by default over 99 %; at 0.99, in less time, once 97 %. `seed` draws the pilot. Empty texts have no score.

    Raises:
        UsageError: k is not positive, the confidence does not lie above 0.5 and up to 1, or the texts are no strings.
    """
    import numpy as np

    if isinstance(texts, str):
        check_texts(texts)
    race = Race(aligner, k, confidence=confidence, seed=seed)
    starts = range(0, len(texts), TEXTS_AT_ONCE)
    try:
        parts = [race.scores(texts[start : start + TEXTS_AT_ONCE], threads=threads) for start in starts]
    except UsageError:
        check_texts(texts)  # which counts from the first of all texts
        raise
    scores = np.concatenate([np.empty(0), *parts])
    ranked = np.flatnonzero(scores > -np.inf)
    ranked = ranked[np.argsort(-scores[ranked], kind="stable")][:k]
    return Ranking(ranked, scores[ranked], race.share)


def best_of_batches(
    batches: Iterable[pa.RecordBatch | pa.Table],
    aligner: Aligner,
    k: int,
    *,
    confidence: float = 0.999,
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
        scores = pa.array(race.scores(part["text"], part["item_id"], threads=threads))
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
    """Texts that were measured against all targets: see `_measured` for `features`; `exact` are their scores."""

    features: Numbers
    exact: Numbers


class _Runners(NamedTuple):
    """Texts that are still in the race, the targets that they were measured against, and the features of these."""

    rows: Rows
    features: Numbers
    targets: tuple[int, ...]

    def those(self, mask: NDArray[np.bool_]) -> _Runners:
        """Return some of them."""
        return _Runners(self.rows[mask], self.features[mask], self.targets)

    def joined_by(self, more: _Runners) -> _Runners:
        """Return the same texts with what was measured against further targets."""
        import numpy as np

        features = np.column_stack([self.features, more.features[:, _SIZES:]])
        return _Runners(self.rows, features, self.targets + more.targets)


class Race:
    """Scores texts part by part, and drops those that can hardly enter the best K of all parts so far."""

    def __init__(self, aligner: Aligner, k: int, *, confidence: float = 0.999, seed: int = 0) -> None:
        import numpy as np

        if k < 1:
            raise UsageError(f"the best {k} texts are none", hint="ask for at least one")
        if not 0.5 < confidence <= 1:
            raise UsageError(f"{confidence} is no confidence", hint="give one above 0.5, up to 1")
        self.k, self._aligner, self._confidence = k, aligner, confidence
        self._z = NormalDist().inv_cdf(confidence) if confidence < 1 else float("inf")
        self._random = np.random.default_rng(seed)
        self._best = BestSoFar(k)
        self._measured = self._all = 0

    @property
    def share(self) -> float:
        """How many of all texts x targets were measured, so far."""
        return self._measured / self._all if self._all else 0.0

    def scores(
        self,
        texts: Sequence[str | None] | pa.ChunkedArray,
        item_ids: pa.Array | pa.ChunkedArray | None = None,
        *,
        threads: int | None = None,
    ) -> Numbers:
        """Return exact scores: NaN where a text is null or empty, minus infinity where it was dropped.

        An item takes one of the K places, however often it comes; without `item_ids` each text is an item of its own.
        """
        import numpy as np

        self._best.begin(item_ids)
        laid = packed_strings(texts)
        first = self._first_like_each(laid)
        runners = np.flatnonzero((laid.lengths > 0) & (first == np.arange(len(first))))
        scores = np.where(laid.lengths > 0, -np.inf, np.nan)
        self._all += len(runners) * len(self._aligner.measure.documents)
        if self._worth_it(len(runners)):
            with one_blas_thread():
                self._race(laid, runners, scores, threads)
        else:
            self._finish(laid, _Runners(runners, np.empty((len(runners), 0)), ()), scores, threads)
        return scores[first]

    def _first_like_each(self, laid: Texts) -> Rows:
        """Return for each row the first one of the same item with the same text: that one runs for all."""
        import numpy as np

        items = self._best.repeated()
        if items is None:
            return np.arange(len(laid.lengths))
        texts = laid.as_arrow().dictionary_encode().indices.to_numpy()
        pairs = np.column_stack([items, texts])
        _, rows, like = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
        first: Rows = rows[like.ravel()]
        return first

    def _worth_it(self, runners: int) -> bool:
        few = len(self._aligner.measure.documents) < _FEWEST_TARGETS or self._aligner.nearest < _FEWEST_NEAREST
        return not (few or self._confidence == 1 or runners < 8 * _PILOT or runners < 2 * self.k)

    def _race(self, laid: Texts, rows: Rows, scores: Numbers, threads: int | None) -> None:
        """Give exact scores to pilots, to favourites, and to those of the others that may be as good."""
        self._aligner.measure.prepare(len(rows) // _PAIRS_PER_PAIR_MEASURED)
        drawn = self._random.permutation(len(rows))
        pilots = [self._fly(laid, rows[drawn[:_PILOT]], scores, threads)]
        telling = _telling(pilots[0], self._aligner.measure)
        # Measuring the pilots once more costs less than a copy of all others' texts.
        runners = self._run(telling[: _HEATS[0]], laid, rows, threads)
        runners = runners.those(~_mask(len(rows), drawn[:_PILOT]))
        likeliest = _highest(self._expected(pilots, runners)[0], max(2 * self.k, _PILOT))
        drawn = self._random.permutation(likeliest)[: _PILOT // 2]
        pilots.append(self._fly(laid, runners.rows[drawn], scores, threads))
        runners = runners.those(~_mask(len(runners.rows), drawn))
        for done, count in pairwise(_HEATS):
            runners = runners.those(self._hopeful(pilots, runners))
            runners = runners.joined_by(self._run(telling[done:count], laid, runners.rows, threads))
        first = _mask(len(runners.rows), _highest(self._expected(pilots, runners)[0], self.k))
        self._finish(laid, runners.those(first), scores, threads)
        runners = runners.those(~first)
        runners = runners.those(self._hopeful(pilots, runners, known=True))
        if more := telling[_HEATS[-1] :]:
            runners = runners.joined_by(self._run(more, laid, runners.rows, threads))
            runners = runners.those(self._hopeful(pilots, runners, known=True))
        self._finish(laid, runners, scores, threads)

    def _hopeful(self, pilots: Sequence[_Pilot], runners: _Runners, *, known: bool = False) -> NDArray[np.bool_]:
        """Tell who may be among the best K of the exact scores so far and, unless `known`, of the expected ones."""
        expected, error = self._expected(pilots, runners)
        own = slice(0) if known else slice(None)
        hopeful: NDArray[np.bool_] = expected + self._z * error >= self._best.threshold(
            runners.rows[own], expected[own]
        )
        return hopeful

    def _expected(self, pilots: Sequence[_Pilot], runners: _Runners) -> tuple[Numbers, float]:
        weights, error = _fit(pilots, runners.targets)
        return runners.features @ weights, error

    def _fly(self, laid: Texts, rows: Rows, scores: Numbers, threads: int | None) -> _Pilot:
        measure = self._aligner.measure
        self._measured += len(rows) * len(measure.documents)
        pilot = _measured(measure, laid.take(rows), threads, self._aligner.reduce)
        self._note(rows, pilot.exact, scores)
        return pilot

    def _run(self, targets: Sequence[int], laid: Texts, rows: Rows, threads: int | None) -> _Runners:
        self._measured += len(rows) * len(targets)
        measured = _measured(self._aligner.measure.subset(targets), laid.take(rows), threads)
        return _Runners(rows, measured.features, tuple(targets))

    def _finish(self, laid: Texts, runners: _Runners, scores: Numbers, threads: int | None) -> None:
        """Give exact scores; of texts in one piece the similarities that are known are not measured again."""
        import numpy as np

        rows, measure = runners.rows, self._aligner.measure
        if not runners.targets or laid.lengths[rows].max(initial=0) > measure.piece:
            self._measured += len(rows) * len(measure.documents)
            self._note(rows, self._aligner.score_packed(laid.take(rows), threads=threads), scores)
            return
        missing = [target for target in range(len(measure.documents)) if target not in runners.targets]
        values = np.empty((len(rows), len(measure.documents)))
        values[:, runners.targets] = runners.features[:, _SIZES:]
        values[:, missing] = self._run(missing, laid, rows, threads).features[:, _SIZES:]
        self._note(rows, self._aligner.reduce(values), scores)

    def _note(self, rows: Rows, exact: Numbers, scores: Numbers) -> None:
        scores[rows] = exact
        self._best.note(rows, exact)


def _highest(values: Numbers, count: int) -> Rows:
    """Return the places of the highest values, in their own order."""
    import numpy as np

    if count >= len(values):
        return np.arange(len(values))
    places: Rows = np.sort(np.argpartition(values, len(values) - count)[-count:])
    return places


def _mask(count: int, places: Rows) -> NDArray[np.bool_]:
    import numpy as np

    mask = np.zeros(count, np.bool_)
    mask[places] = True
    return mask


def _measured(measure: Measure, texts: Texts, threads: int | None, reduce: Reduce | None = None) -> _Pilot:
    """Return 1, the inverse and the logarithm of the compressed size, and the similarity to each target, of each text.

    With `reduce` also the scores, else none; a text of several pieces has the mean of theirs. No text is empty.
    """
    import numpy as np

    pieces, owners = cut(texts, measure.piece)
    alone, values = measure.full(pieces, threads)
    count = len(texts.lengths)
    exact = np.empty(0)
    if reduce is not None:  # added up as `score_packed` does, so that equal texts have equal scores
        exact = np.bincount(owners, reduce(values), count) / np.bincount(owners, minlength=count)
    size = _of_texts(alone, owners, count)
    return _Pilot(np.column_stack([np.ones(count), 1 / size, np.log(size), _of_texts(values, owners, count)]), exact)


def _of_texts(values: NDArray[Any], owners: Rows, count: int) -> Numbers:
    """Return for each text the mean of its pieces' values."""
    import numpy as np

    if len(owners) == count:
        return values
    firsts = np.flatnonzero(np.diff(owners, prepend=-1))
    shares = np.diff(firsts, append=len(owners))
    means: Numbers = np.add.reduceat(values, firsts, axis=0, dtype=np.float64).T / shares
    return means.T


def _telling(pilot: _Pilot, measure: Measure) -> list[int]:
    """Choose targets one after the other, each the one that explains most of what is unexplained, for its price."""
    import numpy as np

    prices = np.array([len(document) for document in measure.documents], dtype=np.float64)
    prices *= _PRICE / prices.mean()
    basis, _ = np.linalg.qr(pilot.features[:, :_SIZES])
    columns, rest = pilot.features[:, _SIZES:], pilot.exact
    columns, rest = columns - basis @ (basis.T @ columns), rest - basis @ (basis.T @ rest)
    among, common, left = columns.T @ columns, columns.T @ rest, float(rest @ rest)
    chosen: list[int] = []
    least = np.maximum(_NOTHING_LEFT * among.diagonal(), _NOTHING)
    for _ in range(max(_HEATS[-1], min(_LAST_HEAT, len(prices) // 2))):
        lengths = among.diagonal()
        tells = lengths > least  # a target that others say already tells nothing, and its rest is round-off
        explained = np.where(tells, common**2 / np.where(tells, lengths, 1), 0)
        value = np.log(np.maximum(left - explained, _NOTHING)) + prices
        value[chosen] = np.inf
        best = int(value.argmin())
        chosen.append(best)
        if tells[best]:
            left -= float(explained[best])
            axis = among[best] / np.sqrt(lengths[best])
            among, common = among - np.outer(axis, axis), common - axis * (common[best] / np.sqrt(lengths[best]))
    return chosen


def _fit(pilots: Sequence[_Pilot], targets: Sequence[int]) -> tuple[Numbers, float]:
    """Return least-squares weights and the standard error of a prediction for a text that is not among the pilots.

    The error is that of the group of pilots where it is largest: the likeliest texts err more than the average one.
    """
    import numpy as np

    columns = [*range(_SIZES), *(_SIZES + target for target in targets)]
    features = np.concatenate([pilot.features[:, columns] for pilot in pilots])
    exact = np.concatenate([pilot.exact for pilot in pilots])
    basis, corner = np.linalg.qr(features)
    sizes = np.abs(np.diag(corner))
    if len(exact) > len(sizes) and sizes.min() > _NOTHING_LEFT * sizes.max():
        weights = np.linalg.solve(corner, basis.T @ exact)
    else:  # columns that say the same
        weights, *_ = np.linalg.lstsq(features, exact, rcond=None)
    errors = (exact - features @ weights) / np.maximum(1 - (basis**2).sum(axis=1), _NOTHING)
    groups = np.split(errors**2, np.cumsum([len(pilot.exact) for pilot in pilots])[:-1])
    return weights, float(np.sqrt(max(group.mean() for group in groups)))
