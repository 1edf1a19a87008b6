"""A real store that grows to any number of synthetic texts with signatures and bands, to compare new batches with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.flows.project import Project
from curate.flows.steps.comparison import Comparison
from curate.flows.steps.likeness import TextSimilarity
from curate.settings import Settings
from curate.store.write import LedgerKey, Write, rows

_WORDS = np.array([f"word{number}" for number in range(20_000)])
_LENGTH = 60
_COMMIT_ROWS = 50_000


class KeptTexts:
    """A store of random texts of 60 words, compared already; a new text is alike to none unless it is made from one.

    The kept texts are put there at once and not through the step, which would do so in smaller batches. A tenth is
    dropped as if it duplicated another, and a snapshot holds half of them, a tenth of these to evaluate: so the tables
    that tell how an item stands grow with the store.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self._project = Project(folder, Settings(), "benchmark")
        self._likeness = TextSimilarity(Settings().dedup)
        self._ledger = LedgerKey("dedup", "2", f"1 {self._likeness.version}")
        self._generator = np.random.default_rng(seed)
        self._kept = 0

    def grow_to(self, size: int) -> None:
        """Add texts until the store holds `size`. Cost: about half a minute for each 300,000."""
        while self._kept < size:
            count = min(_COMMIT_ROWS, size - self._kept)
            items = self._items(self._texts(count))
            features = self._likeness.features(items)
            signatures = {"method": self._likeness.version, "signature": features.signatures}
            owners = items["item_id"].combine_chunks().take(np.repeat(np.arange(count), features.keys.shape[1]))
            tables = self._standings(features.ids) | {
                "items": items,
                "signatures": rows("signatures", {"item_id": items["item_id"], **signatures}),
                "bands": rows("bands", {"band": features.keys.ravel(), "item_id": owners}),
            }
            self._project.store.commit(Write("dedup", tables, ledger=self._ledger, items=features.ids))
            self._kept += count

    def _standings(self, ids: Sequence[str]) -> dict[str, pa.Table]:
        """What the store says about pairs of items, of which one is dropped, and about those that a snapshot holds."""
        pairs = [sorted(pair) for pair in zip(ids[8::10], ids[9::10], strict=True)]
        heads, dropped, held = [pair[0] for pair in pairs], [pair[1] for pair in pairs], ids[::2]
        decisions = {"item_id": dropped, "step": "dedup", "action": "drop", "reason": self._likeness.reason}
        clusters = {"item_id": dropped, "representative": heads, "method": self._ledger.parameters}
        splits = ["test" if place % 10 == 0 else "train" for place in range(len(held))]
        snapshot = {"snapshot": "s", "number": [1] * len(held), "item_id": held, "label": None, "score": None}
        return {
            "decisions": rows("decisions", decisions),
            "clusters": rows("clusters", clusters),
            "snapshot_items": rows("snapshot_items", snapshot | {"split": splits}),
        }

    def comparison(self, count: int) -> Callable[[], object]:
        """Return a call that compares `count` new texts, half of them copies of kept ones with one other word."""
        fresh = self._texts(count - count // 2)
        with self._project.reader() as reader:
            query = "SELECT item_id, text FROM items ORDER BY sha256(item_id) LIMIT ?"
            originals = reader.query(query, [count // 2])
        words = [text.split() for text in originals["text"].to_pylist()]
        copies = [" ".join([*parts[:7], f"new{place}", *parts[8:]]) for place, parts in enumerate(words)]
        items = self._items([*copies, *fresh])
        planted = list(zip(items["item_id"].to_pylist(), originals["item_id"].to_pylist(), strict=False))

        def compare() -> object:
            with self._project.reader() as reader:
                features = self._likeness.features(items)
                comparison = Comparison(reader, self._likeness, self._ledger.parameters, features)
                tables = comparison.tables()
            find = comparison.forest.find
            if missed := sum(find(copy) != find(original) for copy, original in planted):
                raise RuntimeError(f"{missed} of {count // 2} planted near-duplicates were missed")
            return tables

        return compare

    def _texts(self, count: int) -> list[str]:
        return [" ".join(words) for words in _WORDS[self._generator.integers(0, len(_WORDS), (count, _LENGTH))]]

    def _items(self, texts: list[str]) -> pa.Table:
        ids = [sha256(text.encode()).hexdigest() for text in texts]
        content = {"text": texts, "image": None, "events": None, "time_unit": None, "size": 1}
        return rows("items", {"item_id": ids, "modality": "text", **content}, len(texts))
