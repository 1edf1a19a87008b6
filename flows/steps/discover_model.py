"""The model that discovery asks: its service, its cache in the store, and the money that it may spend."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pyarrow as pa

from curate.annotate.discovery.analyst import ModelAnalyst
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.structure import Structure
from curate.annotate.embedded import EmbeddedServer
from curate.annotate.llm.client import Client
from curate.annotate.llm.service import Service
from curate.annotate.llm.spending import Spending
from curate.flows.project import Project
from curate.flows.spending import money_left
from curate.flows.steps.annotators import model_folder
from curate.settings import DiscoverSettings
from curate.store.journal import Journal, StoredRequests, stored_responses
from curate.types import Response


class Asked:
    """A `ModelAnalyst` over the project's journal and store. Use it in a `with` block: an embedded server stops there.

    Every answer is on disk before it is used; `drained` returns those that no commit holds yet, `forget_committed`
    takes them out of the journal once one does.
    """

    def __init__(self, project: Project) -> None:
        settings = project.settings.discover
        self._project = project
        self._journal = Journal(project.store_folder)
        self._requests = StoredRequests(self._journal, self._stored)
        self._stack = ExitStack()
        self._draining: frozenset[str] = frozenset()
        server = None if settings.address else EmbeddedServer(model_folder())
        self.description = server.description if server else ""
        if server:
            self._stack.enter_context(server)
        service = server.service() if server else _service(settings)
        spending = Spending(settings.prompt_price, settings.completion_price, money_left(project))
        self._client = self._stack.enter_context(Client(service, self._requests, spending))
        self.analyst = ModelAnalyst(self._client)

    def __enter__(self) -> Self:
        """Return the model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close connections, and stop an embedded server."""
        self._stack.close()

    def drained(self) -> pa.Table:
        """Return the requests that were used and no commit holds yet."""
        self._draining |= self._requests.take_used()
        return self._journal.drained(self._draining)

    def forget_committed(self) -> None:
        """Take what was drained out of the journal, once its commit is there."""
        self._journal.forget(self._draining)
        self._draining = frozenset()

    def account(self) -> list[str]:
        """Say what each stage took; nothing where nothing was asked."""
        return [
            f"{stage}: {used.calls} calls, {used.prompt_tokens:,} prompt and {used.completion_tokens:,} answer tokens"
            + (f", {used.unusable} of no use" if used.unusable else "")
            for stage, used in self.analyst.usage.items()
        ]

    def _stored(self, keys: Sequence[str]) -> Mapping[str, Response]:
        with self._project.reader() as reader:
            return stored_responses(reader, keys)


def discovery_parameters(settings: DiscoverSettings) -> DiscoveryParameters:
    """Return the parameters that the settings name."""
    return DiscoveryParameters(
        rounds=settings.rounds,
        captions=settings.captions,
        most_dimensions=settings.dimensions,
        most_attributes=settings.attributes,
        pinned=settings.pin,
        votes=settings.votes,
        answers=settings.answers,
        temperature=settings.temperature,
        characters=settings.characters,
        seed=settings.seed,
    )


def empty_structure(settings: DiscoverSettings) -> Structure:
    """Return the structure before anything is found."""
    return Structure(settings.name, settings.of_class)


def _service(settings: DiscoverSettings) -> Service:
    return Service(
        settings.address,
        settings.model,
        api_key_variable=settings.key_variable,
        timeout=settings.timeout,
        concurrency=settings.concurrency,
    )
