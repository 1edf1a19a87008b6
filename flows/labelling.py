"""The labelling page over a project: it reads what is published and appends to the inbox."""

import math
import secrets
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from curate.errors import BudgetSpentError, ConfigurationError, MissingExtraError
from curate.flows.project import Project
from curate.flows.spending import money_left
from curate.flows.steps.annotators import project_protocol
from curate.flows.steps.carry import carry_over
from curate.store import labelling
from curate.store.inbox import Inbox, inbox_answers
from curate.store.overview import newest_commit
from curate.store.reader import Reader
from curate.types import ItemContent, PersonAnswer, Proposal, Question, QuestionKind

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from curate.annotate.page.office import Office

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StoreDesk:
    """The page's desk over a store: it reads the newest commit, and keeps answers in an inbox file of its own."""

    def __init__(self, project: Project) -> None:
        settings = project.settings.label
        protocol = project_protocol(project)
        attributes = [attribute.name for attribute in protocol.chosen(settings.attributes)]
        self._project = project
        conditions = {attribute.name: attribute.when for attribute in protocol.attributes}
        self._asked = labelling.Asked(protocol.name, protocol.version, attributes, settings.modalities, conditions)
        self._inbox = Inbox(project.store_folder)
        self._opened: Reader | None = None

    def questions(self, without: Collection[tuple[str, str]], count: int) -> Sequence[Question]:
        """Return the next questions: those of the gate's queue, else all items by their ids."""
        return labelling.open_questions(self._reader(), self._asked, without, count)

    def count_questions(self, without: Collection[tuple[str, str]]) -> int:
        """Return how many there are."""
        return labelling.count_open_questions(self._reader(), self._asked, without)

    def wanted_answers(self) -> Mapping[tuple[str, str], int]:
        """Return how many people's words settle a question of the queue's newest round, where one does not."""
        return labelling.wanted_answers(self._reader(), self._asked)

    def kind(self, item_id: str, attribute: str) -> QuestionKind:
        """Return the kind that the queue gives a question."""
        found = labelling.question_kind(self._reader(), self._asked, item_id, attribute)
        return "audit" if found == "audit" else "repeat" if found == "repeat" else "label"

    def content(self, item_id: str) -> ItemContent | None:
        """Return an item's content; None where there is no such item."""
        return labelling.item_content(self._reader(), item_id)

    def proposals(self, question: Question) -> Sequence[Proposal]:
        """Return what annotators claimed about a question."""
        return labelling.proposals(self._reader(), self._asked, question)

    def answers(self) -> Iterator[PersonAnswer]:
        """Yield what commits hold, then what the inbox ever held: to the protocol's questions, in their order."""
        asked = (self._asked.protocol, self._asked.version)
        kept: Iterable[PersonAnswer] = inbox_answers(self._project.store_folder)
        own = (answer for answer in kept if (answer.protocol, answer.protocol_version) == asked)
        return chain(labelling.people_answers(self._reader(), self._asked), own)

    def keep(self, answer: PersonAnswer) -> None:
        """Append an answer to the inbox; it is on disk when this returns."""
        self._inbox.append(answer)

    def other_names(self) -> frozenset[str]:
        """Return the names of annotators and sources, which no person may take."""
        known = labelling.other_names(self._reader())
        return known | {entry.name for entry in self._project.settings.annotator}

    def close(self) -> None:
        """Let go of what is read and written."""
        self._inbox.close()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _reader(self) -> Reader:
        """A reader of the newest commit, the same one for as long as there is no newer."""
        if self._opened is None or newest_commit(self._project.store_address) != self._opened.commit_number:
            if self._opened is not None:
                self._opened.close()
            self._opened = self._project.reader()
        return self._opened


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the page is, for those who label and for the owner of the data."""

    page: str
    owner: str


def serve_page(project: Project, token: str, owner_token: str, ready: Callable[[Addresses], None]) -> None:
    """Serve the labelling page until the process is told to stop; `ready` hears the addresses once it answers.

    Answers to older versions of the protocol are carried over before it begins. On another interface than loopback a
    token is part of the address; without one given, a new one is made.

    Raises:
        ConfigurationError: the protocol asks nothing, there is nothing in the store, or the port is taken.
        MissingExtraError: what it needs is not installed.
    """
    _check(project)
    carry_over(project)
    host = project.settings.label.host
    token = token or ("" if host in LOOPBACK else secrets.token_urlsafe(24))
    owner_token = owner_token or secrets.token_urlsafe(24)
    with closing(StoreDesk(project)) as desk, _bound(host, project.settings.label.port) as bound:
        application = page_application(project, desk, token, owner_token)
        address = _address(bound, host)
        addresses = Addresses(f"{address}/{f'?token={token}' if token else ''}", f"{address}/owner?token={owner_token}")
        _serve(application, bound, lambda: ready(addresses))


def page_application(project: Project, desk: StoreDesk, token: str, owner_token: str) -> "Starlette":
    """Return the page over a desk as an ASGI application."""
    try:
        from curate.annotate.page.application import labelling_application
    except ModuleNotFoundError as error:
        raise MissingExtraError("the labelling page", "page") from error
    from curate.annotate.page.office import Office
    from curate.annotate.page.security import LOOPBACK as OWN_HOSTS
    from curate.annotate.page.security import Guard

    settings = project.settings.label
    office = Office(
        desk,
        project_protocol(project),
        attributes=settings.attributes,
        people=settings.people,
        budget=settings.budget,
        hold=settings.hold,
        reserved=desk.other_names(),
    )
    office.budget = _affordable(project, office)
    hosts = OWN_HOSTS if settings.host in LOOPBACK else frozenset[str]()
    return labelling_application(office, Guard(owner_token, token, hosts), project.folder.resolve().name)


def _affordable(project: Project, office: "Office") -> int:
    """Return how many answers may be given in all, by the page's budget and by what is left of the ceiling now."""
    price, budget = project.settings.spending.label_price, project.settings.label.budget
    left = money_left(project)
    if not price or math.isinf(left):
        return budget
    most = office.progress("").answers + int(left / price)
    if most == office.progress("").answers:
        raise BudgetSpentError(
            f"another answer costs {price:g}, and {left:g} of the spending ceiling are left",
            unchanged="every answer is kept",
            hint="raise ceiling in [spending]",
        )
    return min(budget or most, most)


def _check(project: Project) -> None:
    if not project.settings.protocol.attribute:
        raise ConfigurationError("the protocol asks nothing", hint="add a [[protocol.attribute]] to curate.toml")
    if not newest_commit(project.store_address):
        raise ConfigurationError("there is nothing in the store to label yet", hint="curate ingest")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"the page cannot be at {host}:{port}: {error.strerror}", hint="curate label --port 0 takes any free port"
        ) from error
    return bound


def _address(bound: socket.socket, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound.getsockname()[1]}"


def _serve(application: "Starlette", bound: socket.socket, ready: Callable[[], None]) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    # No access log: addresses hold the token. No graceful wait for browsers that keep a connection open.
    config = uvicorn.Config(
        application, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    Server(config).run(sockets=[bound])
