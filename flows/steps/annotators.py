"""Annotators as the settings describe them, joined to the store's request journal."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from curate.annotate.embedded import EmbeddedServer
from curate.annotate.llm.annotator import Calls, LanguageModelAnnotator, Prompt
from curate.annotate.llm.asking import Asking
from curate.annotate.llm.examples import Example
from curate.annotate.llm.service import Service
from curate.annotate.llm.spending import Spending
from curate.annotate.protocol import Attribute, Protocol
from curate.annotate.rule import RuleAnnotator
from curate.errors import BudgetSpentError
from curate.flows.project import Project
from curate.flows.spending import money_left
from curate.flows.steps.base import LARGEST_BATCH
from curate.flows.steps.confirmed_examples import confirmed_examples
from curate.flows.steps.rules import project_rule
from curate.settings import (
    CaptionAnnotatorSettings,
    ClipAnnotatorSettings,
    LearnerAnnotatorSettings,
    LLMAnnotatorSettings,
)
from curate.store.journal import Journal, StoredRequests, stored_responses
from curate.store.schema import table
from curate.store.unasked import Speaker
from curate.store.write import rows
from curate.types import Annotated, Annotator, Modality, Response

RULE_ROWS = 5_000
REQUEST_ROWS = 64
CARRIED = "@"
"""Parts the version of the annotator that said something from the version of the protocol that it said it to."""
ITEMS_PER_SLOT = 4
"""So many items of a batch for each request under way keep a server busy until the next batch is begun."""
CACHE_VARIABLE = "XDG_CACHE_HOME"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What annotating would take at most: calls, tokens and money."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def plus(self, other: "Estimate") -> "Estimate":
        """Return the sum of both."""
        return Estimate(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)


class Annotating:
    """One annotator at work in a project: what it needs from outside, and what its requests leave in the store.

    Use it in a `with` block: an embedded model's server stops with it. It is asked about items of its `modalities`, at
    most so many at once; where it is `waiting` for something, which it says there, it is not asked at all.
    """

    modalities: tuple[Modality, ...] = ("text",)
    most = LARGEST_BATCH

    def __init__(self, project: Project, annotator: Annotator, *, sample: int = 0, rows: int = RULE_ROWS) -> None:
        self.annotator = annotator
        self.name = annotator.name
        self.sample = sample
        self.rows = rows
        self.under_way = 0
        self.description = ""
        self.waiting = ""
        self._project = project
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Return the annotating itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free what the annotator held."""
        self._stack.close()

    @property
    def identity(self) -> tuple[str, ...]:
        """What must change for an item to be asked about again."""
        return self.name, self.annotator.version

    @property
    def speaker(self) -> Speaker | None:
        """Whose claims are not asked for again; None where asking costs nothing, and everything is asked."""
        return None

    def estimate(self, items: int, attributes: Sequence[str] = ()) -> Estimate:
        """Say what asking about this many items (for these attributes; none: all) would cost; rules cost nothing."""
        return Estimate()

    @property
    def stopped(self) -> BudgetSpentError | None:
        """Why no more is asked, where money ran out."""
        return None

    def account(self) -> list[str]:
        """Say what was asked and what it came to; nothing where nothing was asked."""
        return []

    @property
    def asked(self) -> tuple[str, str]:
        """The name and version of the protocol that the claims answer."""
        protocol = self._project.settings.protocol
        return protocol.name, protocol.version

    @property
    def dependent(self) -> Sequence[Attribute]:
        """The attributes that only some items are asked for, as others are answered."""
        return [one for one in project_protocol(self._project).attributes if one.when and one.name in self.attributes]

    @property
    def attributes(self) -> Sequence[str]:
        """The attributes that the annotator is asked for."""
        return [attribute.name for attribute in project_protocol(self._project).attributes]

    def begin(self, items: pa.Table, attributes: Sequence[str]) -> None:
        """Begin with a batch that comes after the one that `annotate` is asked for; at most one is begun ahead."""

    def annotate(self, items: pa.Table, attributes: Sequence[str]) -> Annotated:
        """Return what the annotator says about these attributes of a batch."""
        said = self.annotator.annotate(items)
        return Annotated([claim for claim in said.claims if claim.attribute in attributes], said.failures)

    def questions(self, items: pa.Table, attributes: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return which of the attributes the annotator is really asked for, by item of a batch."""
        return dict.fromkeys(items["item_id"].to_pylist(), attributes)

    def drained(self) -> pa.Table:
        """Return the requests that were used and no commit holds yet."""
        return table("requests").schema.empty_table()

    def kept_rows(self) -> dict[str, pa.Table]:
        """Return what else the last batch brought that is worth keeping, by table."""
        return {}

    def forget_committed(self) -> None:
        """Take what was drained out of the journal, once its commit is there."""

    def protocol_rows(self) -> dict[str, pa.Table]:
        """Return the protocol that the annotations name, as rows that the store adds once."""
        return protocol_rows(project_protocol(self._project))


class ModelAnnotating(Annotating):
    """A language model at work: its answers come from the journal, the store or the service, in that order."""

    def __init__(self, project: Project, settings: LLMAnnotatorSettings) -> None:
        self._journal = Journal(project.store_folder)
        self._requests = StoredRequests(self._journal, self._stored)
        self._settings = settings
        server = None if settings.address else EmbeddedServer(model_folder())
        service = server.service() if server else _service(settings)
        self._spending = Spending(settings.prompt_price, settings.completion_price, money_left(project))
        protocol = project_protocol(project)
        self._confirmed = confirmed_examples(project, protocol, settings)
        prompt = _prompt(settings, self._confirmed.examples, embedded=server is not None)
        calls = Calls(service, self._requests, self._spending)
        annotator = LanguageModelAnnotator(settings.name, protocol, calls, prompt, least=settings.least)
        under_way = ITEMS_PER_SLOT * service.concurrency
        super().__init__(project, annotator, sample=settings.sample, rows=max(REQUEST_ROWS, under_way))
        self.under_way = under_way
        self.modalities = settings.modalities
        if "image" in self.modalities:
            self.most = self.rows
        self._model = annotator
        self._asking: Asking | None = None
        self._draining: frozenset[str] = frozenset()
        self._drained = table("requests").schema.empty_table()
        self._used: Counter[str] = Counter()
        self._claims = 0
        self.description = self._confirmed.told
        if server is not None:
            self.description = "; ".join(filter(None, (server.description, self.description)))
            self._stack.enter_context(server)

    @property
    def speaker(self) -> Speaker | None:
        """The model under this version, and under those whose claims were carried over to this protocol."""
        return Speaker(self.name, self._model.version, f"{self._model.basis}-")

    def estimate(self, items: int, attributes: Sequence[str] = ()) -> Estimate:
        """Say what asking about this many items would cost if each were as long as an excerpt can be."""
        plan = self._model.estimate(items, attributes)
        prices = self._settings.prompt_price, self._settings.completion_price
        cost = plan.prompt_tokens * prices[0] + plan.completion_tokens * prices[1]
        return Estimate(plan.requests, plan.prompt_tokens + plan.completion_tokens, cost / 1e6)

    @property
    def stopped(self) -> BudgetSpentError | None:
        """Why no more is asked, where money ran out."""
        return self._asking.stopped if self._asking else None

    def account(self) -> list[str]:
        """Say what was asked, what it came to for an annotation, and why it ended before its time."""
        told = [f"{self.name}: {self.stopped.message}; {self.stopped.hint}"] if self.stopped else []
        if not self._used["requests"]:
            return told
        used, claims = self._used, max(1, self._claims)
        cost = self._spending.cost(used["prompt_tokens"], used["completion_tokens"])
        tokens = used["prompt_tokens"] + used["completion_tokens"]
        return [
            f"{self.name}: {used['requests']:,} requests, {used['prompt_tokens']:,} prompt tokens "
            f"({used['cached_tokens']:,} of them cached by the server), {used['completion_tokens']:,} answer tokens, "
            f"cost {cost:.4g}; {tokens / claims:.1f} tokens and {cost / claims:.3g} an annotation",
            *told,
        ]

    @property
    def attributes(self) -> Sequence[str]:
        """The attributes that the model is asked for."""
        return [attribute.name for attribute in self._model.attributes]

    def begin(self, items: pa.Table, attributes: Sequence[str]) -> None:
        """Let requests of a later batch follow the others, so that no slot waits while one is committed."""
        self._at_work().begin(items, self.questions(items, attributes))

    def annotate(self, items: pa.Table, attributes: Sequence[str]) -> Annotated:
        """Return what the model says about a batch; of what it has said already, nothing is asked."""
        self.begin(items, attributes)
        said = self._at_work().finish(items)
        self._claims += len(said.claims)
        return said

    def questions(self, items: pa.Table, attributes: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the attributes to ask for by item: those without a claim that this model made of this protocol.

        About the texts that it is shown as examples it is asked nothing: it would repeat what people said. A claim
        counts that was made under this version, or carried over to it from an older one.
        """
        ids = items["item_id"].to_pylist()
        protocol = self._model.protocol
        columns = ["item_id", "attribute", "protocol", "protocol_version", "annotator", "annotator_version"]
        with self._project.reader() as reader:
            claims = reader.find("annotations", "item_id", ids, columns).to_pylist()
        said = {
            (claim["item_id"], claim["attribute"])
            for claim in claims
            if (claim["protocol"], claim["protocol_version"], claim["annotator"])
            == (protocol.name, protocol.version, self.name)
            and self._is_own(claim["annotator_version"])
        }
        asked = {item_id: () if item_id in self._confirmed.items else attributes for item_id in ids}
        return {item_id: [name for name in names if (item_id, name) not in said] for item_id, names in asked.items()}

    def _is_own(self, version: str) -> bool:
        carried = version.startswith(f"{self._model.basis}-") and CARRIED in version
        return carried or version == self._model.version

    def drained(self) -> pa.Table:
        """Return the requests that were used and no commit holds yet, some perhaps of a batch begun ahead."""
        self._draining |= self._requests.take_used()
        self._drained = self._journal.drained(self._draining)
        return self._drained

    def forget_committed(self) -> None:
        """Take what was drained out of the journal, once its commit is there."""
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
            self._used[name] += sum(self._drained[name].to_pylist())
        self._used["requests"] += len(self._drained)
        self._journal.forget(self._draining)
        self._draining = frozenset()

    def _at_work(self) -> Asking:
        if self._asking is None:
            self._asking = self._stack.enter_context(self._model.asking())
        return self._asking

    def _stored(self, keys: Sequence[str]) -> Mapping[str, Response]:
        with self._project.reader() as reader:
            return stored_responses(reader, keys)


def annotatings(project: Project) -> Iterator[Annotating]:
    """Build the project's annotators in their order, each when the one before it has finished."""
    for settings in project.settings.annotator:
        if isinstance(settings, LLMAnnotatorSettings):
            yield ModelAnnotating(project, settings)
        elif isinstance(settings, ClipAnnotatorSettings | CaptionAnnotatorSettings):
            from curate.flows.steps.image_annotators import image_annotating

            yield image_annotating(project, settings)
        elif isinstance(settings, LearnerAnnotatorSettings):
            from curate.flows.steps.learner_annotators import LearnerAnnotating

            yield LearnerAnnotating(project, settings)
        else:
            rules = [project_rule(project.folder, rule) for rule in settings.rules]
            yield Annotating(
                project, RuleAnnotator(settings.name, project_protocol(project), rules, conflicts=settings.conflicts)
            )


def model_folder() -> Path:
    """Where embedded models are kept for all projects of a user."""
    cache = os.environ.get(CACHE_VARIABLE) or "~/.cache"
    return Path(cache).expanduser() / "curate" / "models"


def protocol_rows(protocol: Protocol) -> dict[str, pa.Table]:
    """Return a protocol as rows of the tables `protocols` and `attributes`."""
    attributes = {
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "attribute": [attribute.name for attribute in protocol.attributes],
        "question": [attribute.question for attribute in protocol.attributes],
        "values": [list(attribute.values) for attribute in protocol.attributes],
    }
    header = {"protocol": protocol.name, "version": protocol.version, "definition": protocol.definition()}
    return {
        "protocols": rows("protocols", header, 1),
        "attributes": rows("attributes", attributes, len(protocol.attributes)),
    }


def project_protocol(project: Project) -> Protocol:
    """Return the protocol that the project's settings describe."""
    return Protocol.from_mapping(project.settings.protocol.model_dump(mode="json"))


def _service(settings: LLMAnnotatorSettings) -> Service:
    return Service(
        settings.address,
        settings.model,
        api_key_variable=settings.key_variable,
        timeout=settings.timeout,
        concurrency=settings.concurrency,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
    )


def _prompt(settings: LLMAnnotatorSettings, confirmed: Sequence[Example], *, embedded: bool) -> Prompt:
    examples: list[Mapping[str, object]] = [example.model_dump() for example in settings.examples]
    return Prompt(
        attributes=settings.attributes,
        mode="completion" if embedded else settings.mode,
        examples=[*map(Example.from_mapping, examples), *confirmed],
        excerpt_characters=settings.excerpt_characters,
        modalities=settings.modalities,
        image_side=settings.image_side,
    )
