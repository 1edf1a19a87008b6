"""The annotator that asks a language model: batches of texts in, claims and failures out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from curate.annotate.batches import Content, contents
from curate.annotate.canonical import short_hash
from curate.annotate.llm.asking import Asking
from curate.annotate.llm.chat import ChatWay
from curate.annotate.llm.client import Client, request_key
from curate.annotate.llm.completion import CompletionWay
from curate.annotate.llm.examples import Example
from curate.annotate.llm.pictures import USUAL_SIDE
from curate.annotate.llm.service import Service
from curate.annotate.llm.spending import Spending, answer_tokens, prompt_tokens
from curate.annotate.llm.ways import Way
from curate.annotate.migration import origin
from curate.annotate.protocol import Attribute, Protocol, refuse_multiple
from curate.errors import ConfigurationError, UnknownNameError
from curate.types import Annotated, Progress, RequestCache, SilentProgress

if TYPE_CHECKING:
    import pyarrow as pa

Mode = Literal["chat", "completion"]
_WAYS: Mapping[Mode, type[ChatWay] | type[CompletionWay]] = {"chat": ChatWay, "completion": CompletionWay}


@dataclass(frozen=True)
class AnnotationPlan:
    """What a batch would take: items to ask about, requests to pay for, requests the cache answers, prompt tokens.

    `prompt_tokens` estimates the requests to pay for, at three characters a token; it is meant to be too high rather
    than too low. Requests that only an answer can call for (`CompletionWay`) are not in it. `completion_tokens` is the
    most that their answers may have.
    """

    items: int
    requests: int
    cached_requests: int
    prompt_tokens: int
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked about an item, and what it is shown: all of it is part of its annotator's version.

    `mode` is "chat" for models with a chat template (`ChatWay`) and "completion" for base models (`CompletionWay`);
    `attributes` names the protocol's attributes to ask for, all by default. The first `excerpt_characters` of a text
    are shown, and images of at most `image_side` pixels a side (in mode "chat", to a model that takes them); about
    items of other `modalities` nothing is asked. `parameters` go with each request.
    """

    attributes: Sequence[str] = ()
    mode: Mode = "chat"
    examples: Sequence[Example] = ()
    excerpt_characters: int = 600
    parameters: Mapping[str, Any] = field(default_factory=dict)
    modalities: Collection[str] = ("text",)
    image_side: int = USUAL_SIDE


@dataclass(frozen=True, slots=True)
class Calls:
    """How a model's answers are got: of which service, kept where, paid from what, and who hears of the progress.

    Of these only the service's model is part of the annotator's version.
    """

    service: Service
    cache: RequestCache
    spending: Spending | None = None
    progress: Progress | None = None


_USUAL = Prompt()


class LanguageModelAnnotator:
    """Asks a language model for the attributes of each text, or image, as `prompt` says.

    Everything that the answers depend on, the address and the patience excepted, is in `version`; before its hyphen
    stands `basis`, which a new version of the protocol leaves as it is.

    Every answer is in the cache before it is used, so a batch that was interrupted, or failed on the way, pays for no
    received answer again. An answer that is of no use makes its item a failure without claims; on an attribute about
    which the model is less sure than `least` it abstains.
    Memory: a batch's texts and answers; requests under way: the service's `concurrency`.

    Raises:
        UnknownNameError: `attributes`, an example or `mode` names something unknown.
        ConfigurationError: images, or an attribute of several values, in another mode than "chat".
    """

    kind = "llm"

    def __init__(
        self, name: str, protocol: Protocol, calls: Calls, prompt: Prompt = _USUAL, *, least: float = 0.0
    ) -> None:
        self.attributes = protocol.chosen(prompt.attributes)
        _check_mode(name, prompt.mode, prompt.modalities, self.attributes)
        for example in prompt.examples:
            example.check(protocol)
        self.modalities = tuple(sorted(prompt.modalities))
        self._images: dict[str, Any] = {"image_side": prompt.image_side} if "image" in prompt.modalities else {}
        self.name = name
        self.protocol = protocol
        self._calls = calls
        self._prompt = prompt
        self._least = least
        self._ways: dict[tuple[str, ...], Way] = {}
        self._way = self.way(tuple(attribute.name for attribute in self.attributes))
        self.basis = self._basis()
        self.version = f"{self.basis}-{short_hash(self._answered())}"

    def way(self, attributes: Sequence[str]) -> Way:
        """Return the way of asking for these attributes only."""
        names = tuple(attributes)
        if names not in self._ways:
            self._ways[names] = _WAYS[self._prompt.mode](
                self._calls.service.model,
                self.protocol.chosen(names),
                self._prompt.examples,
                excerpt_characters=self._prompt.excerpt_characters,
                parameters=self._prompt.parameters,
                **self._images,
            )
        return self._ways[names]

    def _answered(self) -> dict[str, Any]:
        """Return what the answers depend on, beside the basis."""
        told = {"protocol": self.protocol.definition(), **self._way.definition(), **self._beyond_text()}
        return told | ({"least": self._least} if self._least else {})

    def _beyond_text(self) -> dict[str, Any]:
        """What a version holds besides where not texts alone are asked about."""
        return {"modalities": self.modalities, **self._images} if self._images else {}

    def _basis(self) -> str:
        """Hash what answers depend on besides the protocol; examples count by the oldest names of their answers."""
        examples = [
            [example.text, sorted(origin(self.protocol, *answer) for answer in example.answers.items())]
            for example in self._prompt.examples
        ]
        prompt, model = self._prompt, self._calls.service.model
        asked = {"mode": prompt.mode, "model": model, "template": self._way.definition()["template"]}
        shown = {"excerpt": prompt.excerpt_characters, "parameters": dict(prompt.parameters), "examples": examples}
        return short_hash(asked | shown | self._beyond_text())

    def plan(self, items: pa.Table) -> AnnotationPlan:
        """Say what `annotate` would ask and what of it is paid for already; nothing is asked."""
        written = [shown for _, shown in contents(items, self.modalities)]
        known = {request_key(request): request for shown in written for request in self._way.requests(shown)}
        if known:
            known |= {request_key(request): request for request in self._way.preparation()}
        client = Client(self._calls.service, self._calls.cache)
        missing = [request for request in known.values() if not client.is_cached(request)]
        tokens = sum(map(prompt_tokens, missing))
        answers = sum(map(answer_tokens, missing))
        return AnnotationPlan(len(written), len(missing), len(known) - len(missing), tokens, answers)

    def estimate(self, items: int, attributes: Sequence[str] = ()) -> AnnotationPlan:
        """Say what so many items would take if each were as long as can be shown and none were answered yet.

        They are asked for these attributes, or for all of them.
        """
        way = self.way(attributes) if attributes else self._way
        shown: list[Content] = ["x" * (self._prompt.excerpt_characters + 1)] if "text" in self.modalities else []
        shown += [b""] if self._images else []
        every = [list(way.requests(one)) for one in shown]
        one = max(every, key=lambda requests: sum(map(prompt_tokens, requests)))
        shared = list(way.preparation()) if items else []
        tokens = items * sum(map(prompt_tokens, one)) + sum(map(prompt_tokens, shared))
        answers = items * sum(map(answer_tokens, one)) + sum(map(answer_tokens, shared))
        return AnnotationPlan(items, items * len(one) + len(shared), 0, tokens, answers)

    def annotate(self, items: pa.Table) -> Annotated:
        """Ask about each text and return the claims in item order; see `Client.ask` for what a service may raise.

        Raises:
            ServiceError: the service cannot be reached; what was received is kept.
            RefusedRequestError: the service said a final no.
        """
        with self.asking() as asking:
            return asking.finish(items)

    def asking(self) -> Asking:
        """Return threads for several batches, the next of which may be begun while one is waited for."""
        names = [attribute.name for attribute in self.attributes]
        client = Client(self._calls.service, self._calls.cache, self._calls.spending)
        progress = self._calls.progress or SilentProgress()
        return Asking(self.name, self.way, names, client, progress, self.modalities, self._least)


def _check_mode(name: str, mode: Mode, modalities: Collection[str], attributes: Sequence[Attribute]) -> None:
    if mode not in _WAYS:
        raise UnknownNameError("mode", mode, _WAYS, where=f"annotator {name!r}")
    if mode != "chat" and "image" in modalities:
        raise ConfigurationError(f"annotator {name!r}: only chat models are shown images", hint='mode = "chat"')
    if mode == "completion":
        refuse_multiple(name, attributes, "scores values against each other in the mode 'completion'")
