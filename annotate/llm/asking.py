"""Threads that keep a language model busy: over several batches, and ahead of the one that is waited for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from curate.annotate.batches import Content, contents
from curate.annotate.llm.client import Client
from curate.annotate.llm.ways import Opinion, UnusableAnswerError, Way
from curate.errors import BudgetSpentError
from curate.types import Annotated, Claim, Failure, Progress

if TYPE_CHECKING:
    import pyarrow as pa

LOOKED_UP = 256
SPARE_THREADS = 16
"""Threads beyond the requests under way: they write requests down and keep answers while the slots are taken."""


@dataclass(frozen=True, slots=True)
class _Left:
    """A question that was not asked, for there is no money left."""


_Result = list[Opinion] | Failure | _Left


class Asking:
    """One client and its threads. Use it in a `with` block.

    Requests go out in the order of what they share: all items for one prompt, then for the next, and among those the
    texts in alphabetical order, so that those which begin alike follow each other and meet a server's prefix cache.
    `stopped` says that money ran out: an item with a question that was not asked is among those left. Answers that are
    less sure than `least` are no claims.

    Memory: the texts and answers of the batches that were begun and not finished.
    """

    def __init__(
        self,
        name: str,
        way: Callable[[Sequence[str]], Way],
        attributes: Sequence[str],
        client: Client,
        progress: Progress,
        modalities: Collection[str] = ("text",),
        least: float = 0.0,
    ) -> None:
        self._name = name
        self._way = way
        self._attributes = tuple(attributes)
        self._client = client
        self._progress = progress
        self._least = least
        self._modalities = frozenset(modalities)
        threads = client.service.concurrency + min(client.service.concurrency, SPARE_THREADS)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._begun: dict[str, list[Future[_Result]]] = {}
        self._failed: set[str] = set()
        self.stopped: BudgetSpentError | None = None

    def __enter__(self) -> Self:
        """Return the asking itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let requests that are under way end, begin no other, and close the connections."""
        self._client.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def begin(self, items: pa.Table, wanted: Mapping[str, Sequence[str]] | None = None) -> None:
        """Begin to ask about a batch behind what was begun before; returns at once.

        `wanted` has the attributes to ask for by item: all of them without it, none for an item that it leaves out.
        """
        groups: dict[tuple[str, ...], list[tuple[str, Content]]] = {}
        for item_id, shown in contents(items, self._modalities):
            attributes = self._attributes if wanted is None else tuple(wanted.get(item_id, ()))
            if item_id not in self._begun:
                self._begun[item_id] = []
                groups.setdefault(attributes, []).append((item_id, shown))
        for attributes, fresh in groups.items():
            if attributes:
                self._submit(self._way(attributes), sorted(fresh, key=_order))

    def _submit(self, way: Way, fresh: Sequence[tuple[str, Content]]) -> None:
        for part in way.parts:
            for start in range(0, len(fresh), LOOKED_UP):
                some = fresh[start : start + LOOKED_UP]
                self._client.look_up([request for _, shown in some for request in way.requests(shown, part)])
                for item_id, shown in some:
                    self._begun[item_id].append(self._pool.submit(self._ask, way, item_id, shown, part))

    def finish(self, items: pa.Table) -> Annotated:
        """Wait for a batch's answers and return its claims in item order; begins what was not begun, as a whole.

        The first error stops everything, once the requests under way have ended: see `Client.ask` for what it may be.
        """
        self.begin(items)
        ids = [item_id for item_id, _ in contents(items, self._modalities)]
        self._progress.start(self._name, len(ids))
        futures = [one for item_id in ids for one in self._begun[item_id]]
        for count, future in enumerate(as_completed(futures), 1):
            future.result()
            self._progress.advance(count * len(ids) // len(futures) - (count - 1) * len(ids) // len(futures))
        self._progress.finish(self._name)
        results = [(item_id, [one.result() for one in self._begun.pop(item_id)]) for item_id in ids]
        left = {item_id for item_id, found in results if any(isinstance(one, _Left) for one in found)}
        results = [(item_id, found) for item_id, found in results if item_id not in left]
        failures = [_failure(found) for _, found in results]
        claims = [
            Claim(item_id, opinion.attribute, opinion.value, opinion.confidence)
            for (item_id, found), failure in zip(results, failures, strict=True)
            if failure is None
            for opinions in found
            if isinstance(opinions, list)
            for opinion in opinions
            if opinion.confidence >= self._least
        ]
        return Annotated(claims, [failure for failure in failures if failure is not None], sorted(left))

    def _ask(self, way: Way, item_id: str, shown: Content, part: str) -> _Result:
        from curate.annotate.llm.transport import UnanswerableError

        if item_id in self._failed:
            return []
        try:
            return way.opinions(shown, self._client.ask, part)
        except BudgetSpentError as error:
            self.stopped = error
            return _Left()
        except (UnusableAnswerError, UnanswerableError) as error:
            self._failed.add(item_id)
            return Failure(item_id, str(error))


def _order(entry: tuple[str, Content]) -> tuple[bool, Content]:
    """Texts in their order, then images."""
    return isinstance(entry[1], bytes), entry[1]


def _failure(results: Sequence[Any]) -> Failure | None:
    return next((one for one in results if isinstance(one, Failure)), None)
