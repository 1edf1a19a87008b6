"""Quotas, limit and budget: which of the candidates, in their order, are taken."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from curate.store.snapshots.funnel import BELOW_THE_CUT, OVER_BUDGET, over_quota
from curate.store.snapshots.spec import SnapshotSpec


class Cuts:
    """Takes candidates one by one; `left_out` counts the others under the funnel's words.

    A candidate whose quota is full is passed over, and the next may be taken. The limit and the budget end the taking:
    from the first candidate on that does not fit, all are left out, so that what is taken is always the best.
    """

    def __init__(self, spec: SnapshotSpec) -> None:
        self.left_out: Counter[str] = Counter()
        self._spec = spec
        self._used: Counter[tuple[int, str | None]] = Counter()
        self._taken = 0
        self._amount = 0
        self._spent = False

    def take(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield what is taken of each batch with the columns `cells` and `size`. Memory: one batch."""
        for batch in batches:
            if not (self._spec.quotas or self._spec.limit or self._spec.budget):
                yield batch
                continue
            pairs = zip(batch.column("cells").to_pylist(), batch.column("size").to_pylist(), strict=True)
            yield batch.filter(pa.array([self._takes(cells, size) for cells, size in pairs], pa.bool_()))

    def _takes(self, cells: Sequence[str | None], size: int | None) -> bool:
        reason = self._reason(cells, size or 0)
        if reason:
            self.left_out[reason] += 1
            return False
        self._taken += 1
        self._amount += size or 0
        self._used.update(enumerate(cells))
        return True

    def _reason(self, cells: Sequence[str | None], size: int) -> str:
        for place, (quota, value) in enumerate(zip(self._spec.quotas, cells, strict=True)):
            bound = quota.bound(value)
            if bound and self._used[place, value] >= bound:
                return over_quota(quota.attribute)
        if self._spec.limit and self._taken >= self._spec.limit:
            return BELOW_THE_CUT
        self._spent |= bool(self._spec.budget) and self._amount + size > self._spec.budget
        return OVER_BUDGET if self._spent else ""
