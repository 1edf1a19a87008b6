"""The words that every room shares: value objects, and the protocols by which algorithms meet the outside."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Modality = Literal["text", "image", "events"]
MODALITIES: tuple[Modality, ...] = ("text", "image", "events")
Format = Literal["auto", "text", "lines", "json", "jsonl", "csv", "parquet", "arrow", "images", "webdataset"]
FORMATS: tuple[Format, ...] = get_args(Format)
Action = Literal["keep", "drop", "query", "skip"]
SPLITS: tuple[str, ...] = ("train", "validation", "test")
PersonalDataKind = Literal[
    "email address", "telephone number", "IP address", "IBAN", "payment card number", "national identity number"
]
PERSONAL_DATA_KINDS: tuple[PersonalDataKind, ...] = get_args(PersonalDataKind)
SecretKind = Literal["private key", "access token", "JSON web token", "password in an address", "assigned secret"]
SECRET_KINDS: tuple[SecretKind, ...] = get_args(SecretKind)
QualitySet = Literal["gopher-quality", "gopher-repetition", "c4", "c4-paragraphs", "fineweb"]
ContaminationMethod = Literal["shared-runs", "alignment"]
TokenizerName = Literal["characters", "words", "bytes"]
TOKENIZERS: tuple[TokenizerName, ...] = get_args(TokenizerName)
QuestionKind = Literal["label", "audit", "repeat"]
AbstentionReason = Literal["cannot tell", "skip", "undone"]
ABSTENTION_REASONS: tuple[AbstentionReason, ...] = get_args(AbstentionReason)
Element = TypeVar("Element")


RANKINGS = frozenset({"fused", "mix"})
"""The selectors whose scores are places in one order of all items: 0 for the first, -1 for the next."""

PLACES = "places:"
"""How the version of any other selector begins whose scores are such places."""


def is_rank(selector: str, version: str = "") -> bool:
    """Whether a selector's scores, those of this version, are places in an order.

    >>> is_rank("fused"), is_rank("align"), is_rank("ranking:varied", "places:1 entropy-law")
    (True, False, True)
    """
    return selector in RANKINGS or version.startswith(PLACES)


def rank_of(score: float) -> int:
    """Return the rank that a place in an order means, 1 for the first.

    >>> rank_of(-29.0)
    30
    """
    return 1 - round(score)


@dataclass(frozen=True, slots=True)
class Claim:
    """One annotator's claim about one item; `confidence` lies in [0, 1], `value` is one of the attribute's values.

    Where the attribute takes several at once, it is their list as `joined_values` spells it, one claim for all of them.
    """

    item_id: str
    attribute: str
    value: str
    confidence: float


def joined_values(values: Iterable[str]) -> str:
    """Spell an answer of several values, or of none, as one text: a JSON list, in the order that is given.

    >>> joined_values(["red", "blue"]), joined_values([])
    ('["red", "blue"]', '[]')
    """
    return json.dumps(list(values), ensure_ascii=False)


NONE_OF_THEM = "none of them"
"""How an answer that holds no value is shown, and ticked in Label Studio."""


def separate_values(answer: str) -> tuple[str, ...]:
    """Return the values of an answer: those that `joined_values` spelled, or the one that it is itself.

    >>> separate_values('["red", "blue"]'), separate_values("red"), separate_values("[]")
    (('red', 'blue'), ('red',), ())
    """
    if not answer.startswith("["):
        return (answer,)
    try:
        found = json.loads(answer)
    except ValueError:
        return (answer,)
    return tuple(found) if all(isinstance(value, str) for value in found) else (answer,)


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that an algorithm could not handle, with the reason; it is never dropped in silence."""

    item_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Annotated:
    """What an annotator returns for a batch; an item in none of the lists is an abstention.

    `left` are items that it did not come to, for money ran out: they are to be asked about another time.
    """

    claims: Sequence[Claim] = ()
    failures: Sequence[Failure] = ()
    left: Sequence[str] = ()


@runtime_checkable
class Annotator(Protocol):
    """Makes claims about items.

    `version` changes whenever the prompt, the rules, the model or its weights do.
    `annotate` takes a table with the columns `item_id`, `text`, `image`, `events` and returns claims in item order.
    """

    name: str
    kind: str
    version: str

    def annotate(self, items: pa.Table) -> Annotated: ...


@runtime_checkable
class Selector(Protocol):
    """Gives each item a number, higher is better; `version` names method, parameters and library versions.

    `score` takes a table with the columns `item_id`, `text`, `image`, `events` and returns float64 of its length;
    NaN says that the item has no score (wrong modality).
    """

    name: str
    version: str
    target: str

    def score(self, items: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]: ...


@runtime_checkable
class Tokenizer(Protocol):
    """Says how many tokens a text has; `version` changes whenever its counts would.

    `count` returns int64 of the number of texts.
    """

    version: str

    def count(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]: ...


@runtime_checkable
class Encoder(Protocol):
    """Turns items of one of its modalities into frozen features: float32 of shape (items, `dimension`).

    `version` changes whenever the features would. Features of a `costly` encoder are sooner read than computed.
    """

    version: str
    modalities: tuple[Modality, ...]
    costly: bool

    @property
    def dimension(self) -> int: ...

    def encode(self, items: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]: ...


@runtime_checkable
class Captioner(Protocol):
    """Writes a text about each image, "" where it has nothing to say, and how probable its words were to it, in [0, 1].

    `version` changes whenever the texts would.
    """

    version: str

    def captions(self, items: pa.Table) -> Sequence[tuple[str, float]]: ...


class Classifier(Protocol):
    """What of a learner is asked about items: column k of `predict` belongs to `classes[k]` once a state is loaded."""

    version: str

    @property
    def classes(self) -> tuple[str, ...]: ...

    def predict(self, features: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float64]]: ...

    def load(self, state: bytes) -> None: ...


@runtime_checkable
class Learner(Classifier, Protocol):
    """Takes increments in order and needs no task boundary.

    `labels` are names; a name never seen before widens the learner. `classes` is the versioned label map: its order
    only ever grows at the end, and column k of `predict` belongs to `classes[k]`.
    """

    name: str

    def learn(self, features: np.ndarray[Any, np.dtype[np.float32]], labels: Sequence[str]) -> None: ...

    def state(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PersonAnswer:
    """What one person said to one question about one item: a `value`, or the `reason` why there is none.

    A person has one `turn` at a question, the first; the reason "undone" ends it as if nothing had been said, and the
    next one begins. `answered_at` is UTC, ISO 8601. `saw_proposal` says that a model's claim was on the screen.
    """

    answer_id: str
    person: str
    item_id: str
    protocol: str
    protocol_version: str
    attribute: str
    answered_at: str
    value: str = ""
    reason: str = ""
    turn: int = 1
    saw_proposal: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One attribute of one item that people are asked about; the proposals of an audit are never shown."""

    item_id: str
    attribute: str
    kind: QuestionKind = "label"


@dataclass(frozen=True, slots=True)
class ItemContent:
    """What a person is shown of an item; of `text`, `image` (encoded bytes) and `events` (time, type) one is there."""

    item_id: str
    modality: str
    text: str = ""
    image: bytes = b""
    events: Sequence[tuple[float, int]] = ()
    time_unit: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an annotator that is no person claimed."""

    value: str
    confidence: float
    annotator: str


class LabellingDesk(Protocol):
    """What the labelling page needs from outside. Its caller sees to it that one thread at a time asks."""

    def questions(self, without: Collection[tuple[str, str]], count: int) -> Sequence[Question]:
        """Return the next questions, the most urgent first, without those about these items and attributes."""
        ...

    def count_questions(self, without: Collection[tuple[str, str]]) -> int:
        """Return how many there are."""
        ...

    def wanted_answers(self) -> Mapping[tuple[str, str], int]:
        """Return how many people's words settle a question, by item and attribute, where one does not."""
        ...

    def kind(self, item_id: str, attribute: str) -> QuestionKind:
        """Return the kind of the question about an item and an attribute."""
        ...

    def content(self, item_id: str) -> ItemContent | None:
        """Return an item's content; None where there is no such item."""
        ...

    def proposals(self, question: Question) -> Sequence[Proposal]:
        """Return what annotators claimed about a question, each its newest claim."""
        ...

    def answers(self) -> Iterable[PersonAnswer]:
        """Return all answers to the protocol's questions that were kept, in their order."""
        ...

    def keep(self, answer: PersonAnswer) -> None:
        """Keep an answer; it is on disk when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a service, as it is sent; the cache key is a hash over all of it."""

    address: str
    model: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """One received answer: the body, what it cost, and how it came."""

    body: Mapping[str, Any]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    attempts: int = 1


class RequestCache(Protocol):
    """Keeps every received answer for good; `put` returns only once the answer is on disk. Threads may call it at once.

    `look_up` names keys that will be asked for, so that a store is asked about them together.
    """

    def look_up(self, keys: Sequence[str]) -> None: ...

    def get(self, key: str) -> Response | None: ...

    def put(self, key: str, request: Request, response: Response) -> None: ...


class Progress(Protocol):
    """Tells a person how far a long loop has come; every method is cheap and safe to ignore."""

    def start(self, name: str, total: int | None = None) -> None: ...

    def advance(self, count: int = 1) -> None: ...

    def note(self, message: str) -> None: ...

    def finish(self, name: str) -> None: ...


class SilentProgress:
    """The progress of a caller who does not want to hear about it."""

    def start(self, name: str, total: int | None = None) -> None:
        """Ignore the beginning."""

    def advance(self, count: int = 1) -> None:
        """Ignore the advance."""

    def note(self, message: str) -> None:
        """Ignore the note."""

    def finish(self, name: str) -> None:
        """Ignore the end."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one execution of one step did; `details` holds figures of its own for the summary and the report.

    `unreached` of the `failed` failed only because a service or a source could not be reached: the table `failures` has
    no row of them, and the same command tries them again. `spent` says that the spending ceiling stopped it.
    """

    step: str
    done: int = 0
    skipped: int = 0
    rejected: int = 0
    failed: int = 0
    unreached: int = 0
    spent: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        """Whether the step found nothing to do."""
        return not (self.done or self.rejected or self.failed)


def total(reports: Iterable[StepReport], figure: Literal["done", "skipped", "rejected", "failed", "unreached"]) -> int:
    """Sum one figure over several reports."""
    return sum(int(getattr(report, figure)) for report in reports)
