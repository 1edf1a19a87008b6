"""The pool: components with keys and values, chosen by queries, grown by increment, saved and loaded to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.numerics import Array, Features
from curate.learners.prompts.choices import Choice, Picks
from curate.learners.prompts.cosine import cosines
from curate.learners.prompts.growing import GrowingTensor
from curate.learners.prompts.orthogonality import orthogonal_rows
from curate.learners.prompts.selection import Components, Selection
from curate.learners.prompts.usage import Usage
from curate.learners.state_file import pack, unpack

ChoiceType = TypeVar("ChoiceType", bound=Choice)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class PoolShape:
    """What one component is, and how it begins.

    width: of a query and a key. value: the shape of a value, such as (length, width) for tokens put before an item's
    own, or (layers, 2, length, width) for key and value prefixes. attended: whether components have attention vectors.
    start: "uniform" draws keys and attention vectors from -1 to 1 and values from -spread to spread, as L2P, DualPrompt
    and PromptTPP do with 1; "orthogonal" is CODA-Prompt's, and values too have length 1 then.

    Raises:
        ConfigurationError: a size that is not positive, or a start that is not known.
    """

    width: int
    value: tuple[int, ...]
    attended: bool = False
    start: Literal["uniform", "orthogonal"] = "uniform"
    spread: float = 1.0

    def __post_init__(self) -> None:
        if min(self.width, *self.value) <= 0:
            raise ConfigurationError(f"a pool's sizes must be greater than 0, not {self.width} and {self.value}")
        if self.start not in ("uniform", "orthogonal"):
            raise ConfigurationError(f"a pool's start must be uniform or orthogonal, not {self.start!r}")


class PromptPool(nn.Module, Generic[ChoiceType]):
    """Components for a frozen transformer: what is learned is `values`, read by a choice; `keys` say for which items.

    A pool is empty until it grows. L2P's grows once and goes on learning all of it; CODA-Prompt's grows at every
    increment, and what was there before is frozen to the bit. With one component an increment, whose key follows the
    mean of that increment's queries (`follow`), items find their increment's component with no task id.

    Choosing has no effect of its own: `record` counts a choice. While the pool is in training mode the selection may
    look at these counts. Beginnings depend on the seed and the number of components before, and on nothing else.
    """

    observed: torch.Tensor

    def __init__(self, shape: PoolShape, selection: Selection[ChoiceType], *, seed: int = 0) -> None:
        super().__init__()
        self.shape, self.selection, self.seed = shape, selection, seed
        self.key_rows = GrowingTensor(shape.width)
        self.value_rows = GrowingTensor(*shape.value)
        self.attention_rows = GrowingTensor(shape.width) if shape.attended else None
        self.usage = Usage()
        self.register_buffer("observed", torch.zeros(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.key_rows)

    @property
    def keys(self) -> torch.Tensor:
        """All keys: shape (components, width)."""
        return self.key_rows.whole

    @property
    def values(self) -> torch.Tensor:
        """All values: shape (components, ...)."""
        return self.value_rows.whole

    @property
    def attention(self) -> torch.Tensor | None:
        """All attention vectors, of shape (components, width), where the pool has them."""
        return None if self.attention_rows is None else self.attention_rows.whole

    @property
    def live(self) -> range:
        """The numbers of the components that are being learned: those of the last growth."""
        return range(len(self.key_rows.frozen), len(self))

    def choose(self, queries: torch.Tensor) -> ChoiceType:
        """Choose for each item by its query, (items, width), through which no gradient flows back.

        Raises:
            ConfigurationError: the selection does not fit the pool.
        """
        shares = self.usage.shares() if self.training else None
        return self.selection(queries.detach(), Components(self.keys, self.attention, shares))

    def given(self, queries: torch.Tensor, components: torch.Tensor) -> Picks:
        """Return the choice of one known component for each item: DualPrompt's way while it learns."""
        return Picks(components[:, None], cosines(queries.detach(), self.keys))

    def record(self, choice: Choice) -> None:
        """Count what was chosen."""
        self.usage.record(choice)

    def grow(self, components: int, *, keys: Features | None = None) -> range:
        """Freeze what there is, add components, and return their numbers; an optimiser must be made anew.

        `keys` (components, width) are where the new keys begin, such as `keys_among` the increment's queries.
        """
        generator = np.random.default_rng([self.seed, len(self)])
        for name, part in self._growing().items():
            rows = self._begin(name, part, components, generator)
            begun = keys if name == "keys" and keys is not None else rows
            part.grow(torch.from_numpy(begun.reshape(rows.shape).astype(np.float32)))
        self.usage.grow(components)
        self.observed = torch.cat([self.observed, self.observed.new_zeros(components)])
        return self.live

    def follow(self, component: int, queries: torch.Tensor) -> None:
        """Move a component's key to the mean of all queries, (items, width), that it was ever shown this way."""
        before = int(self.observed[component])
        total = self.keys[component].detach().double() * before + queries.detach().double().sum(dim=0)
        if len(queries):
            self.key_rows.move(component, (total / (before + len(queries))).float())
            self.observed[component] += len(queries)

    def arrays(self) -> dict[str, Array]:
        """Return all that choosing, reading, counting and growing depend on, beside shape, selection and seed."""
        rows = {f"{name}.{kind}": tensor for name, part in self._growing().items() for kind, tensor in part.parts()}
        tensors = {**rows, "usage": self.usage.counts, "observed": self.observed}
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `arrays` returned, whatever the number of components there and here."""
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        for name, part in self._growing().items():
            part.replace(tensors[f"{name}.frozen"], tensors[f"{name}.live"])
        self.usage.counts = tensors["usage"].to(self.usage.counts.device)
        self.observed = tensors["observed"].to(self.observed.device)

    def state(self) -> bytes:
        """Return the pool as deterministic safetensors bytes: equal pools, equal bytes."""
        return pack(self._header(), self.arrays())

    def load(self, state: bytes) -> None:
        """Go back to a state that `state` returned; what is refused leaves the pool as it was.

        Raises:
            StoreError: the bytes are corrupt.
            ConfigurationError: they belong to a pool of another shape or seed.
        """
        header, arrays = unpack(state)
        if header != self._header():
            raise ConfigurationError(
                f"this state belongs to another pool: {header} there and {self._header()} here",
                hint="make the pool with the shape and the seed that it was saved with",
                unchanged="the pool",
            )
        self.restore(arrays)

    def _header(self) -> dict[str, Any]:
        shape = asdict(self.shape)
        return {"pool": _FORMAT, "seed": self.seed, "shape": {**shape, "value": list(self.shape.value)}}

    def _growing(self) -> dict[str, GrowingTensor]:
        own = {"keys": self.key_rows, "values": self.value_rows}
        return own if self.attention_rows is None else {**own, "attention": self.attention_rows}

    def _begin(self, name: str, part: GrowingTensor, components: int, generator: np.random.Generator) -> Features:
        old = part.whole.detach().cpu().numpy()
        shape = (components, *old.shape[1:])
        if self.shape.start == "orthogonal":
            return orthogonal_rows(components, old.reshape(len(old), prod(old.shape[1:])), generator).reshape(shape)
        spread = self.shape.spread if name == "values" else 1.0
        return generator.uniform(-spread, spread, shape).astype(np.float32)
