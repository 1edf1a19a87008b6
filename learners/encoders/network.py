"""What all frozen networks share as encoders: items are prepared in threads while the network is at work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.learners.encoders.column import column_of
from curate.learners.numerics import Features
from curate.types import Modality

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ON_GPU = 256
_THREADS = 2
_AHEAD = 3
"""Batches that are prepared, or being prepared, before the network asks for them."""
Batch = tuple[Sequence[int], Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A network with its weights on a device; `forward` turns prepared input into features (items, `dimension`).

    `extra` is what preparing needs: a `Geometry`, or a tokenizer. `module` is the torch module inside.
    """

    forward: Any
    dimension: int
    device: str
    extra: Any
    module: Any


class NetworkEncoder(ABC):
    """A `curate.types.Encoder` over a frozen network; the weights are loaded when the first item is encoded.

    The device is a GPU where there is one. An item's features are the same up to rounding (about 1e-6 of their length)
    whatever items are its neighbours; equal batches give equal bits on one machine.
    Memory: the network, the features, and four prepared batches, whatever the number of items.
    """

    costly = True
    batch_on_cpu = 16
    modalities: tuple[Modality, ...]
    version: str

    @property
    def dimension(self) -> int:
        """The width of the features."""
        return self.network().dimension

    def batch_size(self, network: Network) -> int:
        """Return how many items a pass takes: about what is quickest, which hardly depends on the network."""
        return BATCH_ON_GPU if network.device == "cuda" else self.batch_on_cpu

    def encode(self, items: pa.Table) -> Features:
        """Return float32 of shape (items, dimension).

        Raises:
            BadDataError: an item without content of the encoder's modality, or one that does not decode; names it.
            MissingExtraError: the packages of the extra `encoders` are not installed.
        """
        if not items.num_rows:
            return np.zeros((0, self.dimension), np.float32)
        network = self.network()
        features = np.empty((items.num_rows, network.dimension), np.float32)
        for places, prepared in self._prepared(items, network):
            features[places] = network.forward(prepared)
        return features

    def _prepared(self, items: pa.Table, network: Network) -> Iterator[Batch]:
        """Yield batches as the network takes them; whoever stops early waits for what is being prepared."""
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="encoder") as pool:
            for places, values in self._batches(items, network):
                waiting.append(pool.submit(self._prepare_batch, network, places, values))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _prepare_batch(self, network: Network, places: Sequence[int], values: Sequence[tuple[str, Any]]) -> Batch:
        return places, self.prepare(network, values)

    def _batches(self, items: pa.Table, network: Network) -> Iterator[tuple[Sequence[int], list[tuple[str, Any]]]]:
        """Cut the items into batches: the rows of each, and their ids and content."""
        values = column_of(items, self.modalities[0])
        size = self.batch_size(network)
        for start in range(0, items.num_rows, size):
            batch = list(islice(values, size))
            yield range(start, start + len(batch)), batch

    @abstractmethod
    def network(self) -> Network:
        """Return the network, loaded once in a process."""

    @abstractmethod
    def prepare(self, network: Network, values: Sequence[tuple[str, Any]]) -> Any:
        """Turn ids and content into what the network's `forward` takes; called in a thread."""
