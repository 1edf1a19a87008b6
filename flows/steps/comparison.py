"""One batch against itself and against everything that is kept: who is alike, in which groups, and what follows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.flows.steps.likeness import Features, Likeness, Similarity
from curate.select.clusters import Forest, Member, Verdict, buckets, connect, judge
from curate.select.duplicates import METHOD as EQUALITY
from curate.store.clusters import Standing, cluster_members, standings
from curate.store.reader import Reader
from curate.store.signatures import BAND_CAPACITY, items_by_band, kept_signatures
from curate.store.write import rows

EVALUATION = "near-duplicate of an evaluation item"
_WORTH_A_LOOK_AT_SIGNATURES = 2_000
"""With fewer kept items to compare with, reading them is quicker than asking their signatures first."""
_KEPT_AGAIN = "no longer a duplicate"
Pairs = set[tuple[int, str]]
"""Positions of the batch, each with the id of a kept item."""


@dataclass
class Comparison:
    """The comparison of one batch by one likeness, against the store as `reader` shows it.

    `method` is the name under which the groups are kept: groups of other names do not count.
    `anew` says that the batch was compared before and that its groups are drawn once more, from nothing: its items'
    present groups do not count, and nothing is kept of them that is kept already.
    """

    reader: Reader
    likeness: Likeness
    method: str
    features: Features
    anew: bool = False
    forest: Forest[str] = field(default_factory=Forest)
    standing: dict[str, Standing] = field(default_factory=dict)
    places: dict[str, tuple[Features, int]] = field(default_factory=dict)

    def tables(self) -> dict[str, pa.Table]:
        """Compare, and return the rows that the store gets."""
        keys = np.unique(self.features.keys[self.features.present])
        kept = items_by_band(self.reader, pa.array(keys, pa.int64()))
        self._take_in(self.features.ids)
        self._join_batch()
        self._join_kept(self._pairs(kept))
        made = _verdict_rows(self, list(self._verdicts()))
        return made if self.anew else made | self._signature_rows(kept)

    def _take_in(self, ids: Sequence[str]) -> None:
        """Learn how these items stand and join each to what represents it already."""
        self.standing |= standings(self.reader, self.method, ids)
        for item_id in ids:
            if item_id not in self._redrawn and not self.standing[item_id].gone:
                self.forest.join(item_id, self.standing[item_id].representative)

    @cached_property
    def _redrawn(self) -> frozenset[str]:
        """Items of the batch whose former groups do not count."""
        return frozenset(self.features.ids if self.anew else ())

    def _join_batch(self) -> None:
        ids, features = self.features.ids, self.features
        position = {item_id: place for place, item_id in enumerate(ids)}

        def alike(first: str, second: str) -> bool:
            return self._reaches(features.similarity(position[first], features, position[second]))

        groups = ([ids[place] for place in group] for group in buckets(features.keys, features.present))
        connect(self.forest, groups, alike, BAND_CAPACITY)

    def _pairs(self, kept: Mapping[int, list[str]]) -> Pairs:
        """Return the pairs of the batch with living kept items that share a key and do not belong together yet."""
        ids, batch = self.features.ids, set(self.features.ids)
        pairs: Pairs = set()
        for place in np.flatnonzero(self.features.present).tolist() if kept else ():
            for key in self.features.keys[place].tolist():
                pairs.update((place, other) for other in kept.get(key, ()) if other not in batch)
        self._take_in(sorted({other for _, other in pairs}))
        return {
            (place, other)
            for place, other in pairs
            if not self.standing[other].gone and self.forest.find(ids[place]) != self.forest.find(other)
        }

    def _join_kept(self, pairs: Pairs) -> None:
        by_kept: dict[str, list[int]] = defaultdict(list)
        for place, other in sorted(self._plausible(pairs)):
            by_kept[other].append(place)
        for part in self.likeness.kept(self.reader, sorted(by_kept)) if by_kept else ():
            for index, other in enumerate(part.ids):
                for place in by_kept[other]:
                    if self._join_if_alike(place, part, index):
                        self.places[other] = (part, index)

    def _join_if_alike(self, place: int, part: Features, index: int) -> bool:
        item_id, other = self.features.ids[place], part.ids[index]
        if self.forest.find(item_id) == self.forest.find(other):
            return False
        similarity = self.features.similarity(place, part, index)
        return self._reaches(similarity) and self.forest.join(item_id, other)

    def _plausible(self, pairs: Pairs) -> Pairs:
        """Leave out pairs whose signatures say that they are not alike, where that saves more than it costs."""
        others = sorted({other for _, other in pairs})
        if len(others) < _WORTH_A_LOOK_AT_SIGNATURES:
            return pairs
        known = kept_signatures(self.reader, self.likeness.version, others)
        asked = sorted((place, other) for place, other in pairs if other in known)
        own = self.features.signatures
        likely = self.likeness.plausible([own[place] or "" for place, _ in asked], [known[other] for _, other in asked])
        return {pair for pair, keep in zip(asked, likely.tolist(), strict=True) if keep}

    def _reaches(self, similarity: Similarity) -> bool:
        return similarity.value >= self.likeness.threshold

    def _verdicts(self) -> Iterable[Verdict]:
        """Judge every group that the batch touches, with all its members."""
        heads = {self.standing[item_id].representative for item_id in self._touched()} - self._redrawn
        members = cluster_members(self.reader, self.method, sorted(heads))
        self._take_in([item_id for item_id in members if item_id not in self.standing])
        for group in self.forest.groups(sorted(self._touched())).values():
            yield from judge([Member(item_id, self.standing[item_id].evaluates) for item_id in group])

    def _touched(self) -> set[str]:
        """Every known, living item whose group holds an item of the batch."""
        roots = {self.forest.find(item_id) for item_id in self.features.ids}
        return {item for item, one in self.standing.items() if not one.gone and self.forest.find(item) in roots}

    def similarities(self, verdicts: Sequence[Verdict]) -> list[Similarity]:
        """Return how alike each of these items and the one that it duplicates are."""
        pairs = [(verdict.item_id, str(verdict.duplicate_of)) for verdict in verdicts]
        places = self.places | {item_id: (self.features, n) for n, item_id in enumerate(self.features.ids)}
        missing = sorted({item_id for pair in pairs for item_id in pair} - places.keys())
        for part in self.likeness.kept(self.reader, missing) if missing else ():
            places |= {item_id: (part, index) for index, item_id in enumerate(part.ids)}
        return [places[one][0].similarity(places[one][1], *places[other]) for one, other in pairs]

    def _signature_rows(self, kept: Mapping[int, list[str]]) -> dict[str, pa.Table]:
        """Return what is kept of the batch's items, less those that lie under their keys already."""
        ids, features = self.features.ids, self.features
        known = {item_id for items in kept.values() for item_id in items}.intersection(ids)
        fresh = features.present & np.array([item_id not in known for item_id in ids], np.bool_)
        bands, owners = _room(features.keys, fresh, {band: len(items) for band, items in kept.items()})
        signed = [
            (ids[place], self.likeness.version, features.signatures[place]) for place in np.flatnonzero(fresh).tolist()
        ]
        return {
            "signatures": _rows("signatures", ("item_id", "method", "signature"), signed),
            "bands": rows("bands", {"band": bands, "item_id": [ids[owner] for owner in owners]}, len(bands)),
        }


def _room(
    keys: NDArray[np.int64], fresh: NDArray[np.bool_], taken: Mapping[int, int]
) -> tuple[NDArray[np.int64], list[int]]:
    """Return each item's keys under which there is still room, with the position of the item."""
    count: dict[int, int] = dict(taken)
    chosen: list[tuple[int, int]] = []
    for owner in np.flatnonzero(fresh).tolist():
        for key in dict.fromkeys(keys[owner].tolist()):
            count[key] = count.get(key, 0) + 1
            if count[key] <= BAND_CAPACITY:
                chosen.append((key, owner))
    return np.array([key for key, _ in chosen], np.int64), [owner for _, owner in chosen]


def _verdict_rows(comparison: Comparison, verdicts: Sequence[Verdict]) -> dict[str, pa.Table]:
    """Return rows for what has changed: representatives, decisions, and of whom newly dropped items are duplicates."""
    standing = comparison.standing
    moved = [(v.item_id, v.representative, comparison.method) for v in verdicts if _has_moved(v, standing)]
    dropped = [v for v in verdicts if v.duplicate_of is not None and not standing[v.item_id].dropped]
    kept = [v for v in verdicts if v.duplicate_of is None and standing[v.item_id].dropped]
    similarities = comparison.similarities(dropped)
    reasons = [_reason(v, s, comparison.likeness) for v, s in zip(dropped, similarities, strict=True)]
    decisions = [(v.item_id, "dedup", "drop", reason) for v, reason in zip(dropped, reasons, strict=True)]
    decisions += [(verdict.item_id, "dedup", "keep", _KEPT_AGAIN) for verdict in kept]
    duplicates = [(v.item_id, v.duplicate_of, s.value, s.method) for v, s in zip(dropped, similarities, strict=True)]
    return {
        "clusters": _rows("clusters", ("item_id", "representative", "method"), moved),
        "decisions": _rows("decisions", ("item_id", "step", "action", "reason"), decisions),
        "duplicates": _rows("duplicates", ("item_id", "duplicate_of", "similarity", "method"), duplicates),
    }


def _has_moved(verdict: Verdict, standing: Mapping[str, Standing]) -> bool:
    stands = standing[verdict.item_id]
    return not verdict.representative == stands.representative == stands.shown


def _reason(verdict: Verdict, similarity: Similarity, likeness: Likeness) -> str:
    if verdict.against_evaluation:
        return EVALUATION
    return "duplicate" if similarity.method == EQUALITY and similarity.value == 1 else likeness.reason


def _rows(name: str, columns: Sequence[str], values: Sequence[tuple[Any, ...]]) -> pa.Table:
    content = {column: [value[index] for value in values] for index, column in enumerate(columns)}
    return rows(name, content, len(values))
