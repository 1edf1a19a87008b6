"""Each increment teaches a modulation of its own, and the past of a sequence says which one it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from curate.learners.events.batches import Batch, Clock
from curate.learners.events.learner import EventLearner, EventParameters, network_arrays, restore_network
from curate.learners.events.modulated import ModulatedHawkes
from curate.learners.events.recurrent import RecurrentParameters
from curate.learners.events.retrieved import RetrievedHawkes
from curate.learners.events.sequences import EventSequences
from curate.learners.events.training import fit
from curate.learners.numerics import Array, Integers

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class RetrievingParameters(EventParameters):
    """The first increment teaches the base at `learning_rate`, later ones a modulation at `modulation_rate`.

    modulation_passes: over a later increment. sharpness: how fast each further event makes the choice surer.
    """

    modulation_rate: float = 0.03
    modulation_passes: int = 10
    sharpness: float = 2.0
    falling: int = 1

    def __post_init__(self) -> None:
        EventParameters.__post_init__(self)
        self.require_positive("modulation_rate", "modulation_passes", "sharpness")


class RetrievingEvents(EventLearner[RetrievedHawkes]):
    """A frozen `ModulatedHawkes` with one modulation an increment, keyed by the mean of the increment's last queries.

    The first increment teaches the base, whose modulation is none. A later one's begins where the nearest key's is, and
    is told while it is taught; what earlier ones taught is frozen to the bit. Nothing is told when predicting: see
    `RetrievedHawkes`. So what an increment costs does not depend on how many there were.

    `found` logs for each increment which share of its own sequences retrieves it right after it was learned.
    """

    name = "retrieving-events"

    def __init__(self, type_count: int, parameters: RetrievingParameters | None = None) -> None:
        self.parameters = parameters or RetrievingParameters()
        super().__init__(type_count, self.parameters)
        self.found: list[float] = []

    def picked(self, sequences: EventSequences) -> Integers:
        """Return which increment's modulation weighs most before each event, and behind the last: like durations."""
        parts = [self.process.picks(batch).numpy() for _, batch in self._batches(self.process, sequences)]
        found = np.zeros(sequences.durations.shape, dtype=np.int64)
        for (rows, _), part in zip(self._batches(self.process, sequences), parts, strict=True):
            found[rows, : part.shape[1]] = part
        return found

    def _made(self, clock: Clock) -> RetrievedHawkes:
        sizes = RecurrentParameters(width=self.parameters.width, seed=self.parameters.seed)
        modulated = ModulatedHawkes(self.type_count, clock, sizes)
        return RetrievedHawkes(modulated, self.parameters.sharpness, self.parameters.seed)

    def _learn(self, process: RetrievedHawkes, increment: EventSequences) -> None:
        pool = process.pool
        if not len(pool):
            fit(process, increment, self._training(), turns=[list(process.modulated.parameters())])
        queries = torch.cat([process.last_queries(batch) for _, batch in self._batches(process, increment)])
        nearest = int(pool.choose(queries.mean(dim=0, keepdim=True)).indices[0, 0]) if len(pool) else None
        (component,) = pool.grow(1)
        pool.follow(component, queries)
        if nearest is not None:
            pool.value_rows.move(component, pool.values[nearest].detach())
            self._teach(process, increment, component)
        picks = pool.choose(queries)
        pool.record(picks)
        self.found.append(float(picks.hits(torch.tensor(component)).double().mean()))

    def _teach(self, process: RetrievedHawkes, increment: EventSequences, component: int) -> None:
        with process.told(component):
            fit(process, increment, self._modulating(), turns=[[process.pool.value_rows.live]])

    def _modulating(self) -> RetrievingParameters:
        given = self.parameters
        own = {"passes": given.modulation_passes, "learning_rate": given.modulation_rate}
        return type(given)(**{**given.as_mapping(), **own, "seed": self._training().seed})

    @staticmethod
    def _batches(process: RetrievedHawkes, sequences: EventSequences) -> Iterator[tuple[Integers, Batch]]:
        for rows in np.array_split(np.arange(len(sequences)), -(-len(sequences) // _AT_ONCE)):
            yield rows, process.batch(sequences.select(rows))

    def _arrays(self, process: RetrievedHawkes) -> dict[str, Array]:
        pool = {f"pool/{name}": array for name, array in process.pool.arrays().items()}
        return {**network_arrays(process), **pool, "found": np.array(self.found)}

    def _restore(self, process: RetrievedHawkes, arrays: Mapping[str, Array]) -> None:
        restore_network(process, arrays)
        process.pool.restore(
            {name.removeprefix("pool/"): array for name, array in arrays.items() if name.startswith("pool/")}
        )
        self.found = arrays["found"].tolist()
