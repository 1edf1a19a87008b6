"""What a snapshot shall hold: the declarative request, and the hash that tells two of them apart."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """Bounds (inclusive, None for none) on an item's newest score by a selector; an item without that score is out."""

    selector: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """How many items may have each value of an attribute.

    `most` bounds every value that `values` does not name, and the lack of a value; 0 means that nothing bounds those.
    """

    attribute: str
    most: int = 0
    values: Mapping[str, int] = field(default_factory=dict)

    def bound(self, value: str | None) -> int:
        """Return how many items may have this value (None: no value); 0 for any number."""
        return self.most if value is None else self.values.get(value, self.most)


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """What a snapshot shall hold; equal specs over equal stores give equal content.

    Which items may enter: those of `modality` and of `sources` (empty: all) whose claims have the allowed `values` by
    attribute, whose `scores` lie in range, and whose latest decision by each step of `decisions` is among the allowed
    ones ("none" where it has not decided); what any other step drops is out. `label` names the attribute that becomes
    the label, and items without it are out; `annotators` is the order of trust in which claims are taken, and those not
    named follow (people, then sources, then the most confident), or count for nothing where it is `strict`.

    Which of them are taken: in the order of the latest score of the selector `order_by`, highest first, then of their
    ids, as long as no quota is full, up to `limit` items and `characters` Unicode characters or `tokens` of the version
    of a tokenizer that `tokenizer` names (0: any number). `splits` are fractions that sum to 1. Of the reserve, the
    share of all items that audits come from (see `curate.store.gating`), nothing is taken.
    """

    name: str
    modality: str
    sources: tuple[str, ...] = ()
    order_by: str = ""
    limit: int = 0
    label: str = ""
    annotators: tuple[str, ...] = ()
    splits: Mapping[str, float] = field(default_factory=lambda: {"train": 0.8, "validation": 0.1, "test": 0.1})
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scores: tuple[ScoreRange, ...] = ()
    decisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quotas: tuple[Quota, ...] = ()
    characters: int = 0
    tokens: int = 0
    tokenizer: str = ""
    reserve: float = 0.0
    strict: bool = False

    @property
    def budget(self) -> int:
        """How much content at most, in what `budget_unit` says; 0 for any amount."""
        return self.tokens or self.characters

    @property
    def budget_unit(self) -> str:
        """What the budget counts."""
        return f"tokens ({self.tokenizer})" if self.tokens else "characters"

    def canonical(self) -> str:
        """The spec as canonical JSON; what younger versions added and nobody asked for is not in it."""
        content = asdict(self)
        asked = {name: value for name, value in content.items() if value or name not in _ADDED}
        return json.dumps(asked, sort_keys=True)

    @classmethod
    def parse(cls, canonical: str) -> "SnapshotSpec":
        """Read back what `canonical` wrote, in this version or an earlier one."""
        content: dict[str, Any] = json.loads(canonical)
        for name in ("sources", "annotators"):
            content[name] = tuple(content[name])
        for name in ("values", "decisions"):
            content[name] = {key: tuple(allowed) for key, allowed in content.get(name, {}).items()}
        content["scores"] = tuple(ScoreRange(**entry) for entry in content.get("scores", ()))
        content["quotas"] = tuple(Quota(**entry) for entry in content.get("quotas", ()))
        return cls(**content)


_ADDED = frozenset(
    {"values", "scores", "decisions", "quotas", "characters", "tokens", "tokenizer", "reserve", "strict"}
)


def spec_hash(spec: SnapshotSpec) -> str:
    """Return the hash that tells two specs apart."""
    return hashlib.sha256(spec.canonical().encode()).hexdigest()
