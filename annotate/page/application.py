"""The web application: forms in, pages out; what is said goes to the office before anybody is told that it is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, quote, unquote
from uuid import uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from curate.annotate.page.agreement import agreements
from curate.annotate.page.office import Office
from curate.annotate.page.security import HEADERS, Guard, cookie, form_token, is_own_form, set_cookie
from curate.annotate.page.shown import choices, image_type, shown_answer, shown_events, shown_text
from curate.errors import BadDataError, BudgetSpentError, CurateError, UnknownNameError
from curate.types import PersonAnswer, Question, joined_values

_HERE = Path(__file__).parent
_LARGEST_FORM = 64 * 1024
TICKED = "ticked"
"""The field that a form may have several times: the values that are ticked where several may be."""
Handler = Callable[[Request, Mapping[str, str]], Response]


def labelling_application(office: Office, guard: Guard, title: str) -> Starlette:
    """Return the page as an ASGI application over an office; `title` names the project.

    One request at a time reaches the office, in a thread beside the event loop.
    """
    page = _Page(office, title)
    endpoints = {
        "/": page.show,
        "/person": page.set_person,
        "/answer": page.answer,
        "/undo": page.undo,
        "/next": page.pass_over,
        "/proposal": page.proposal,
        "/owner": page.owner,
    }
    posts = ("/person", "/answer", "/undo", "/next")
    routes: list[Route | Mount] = [
        Route(path, _endpoint(handler, guard, page.lock), methods=["POST" if path in posts else "GET"])
        for path, handler in endpoints.items()
    ]
    routes += [
        Route("/image/{item_id}", _endpoint(page.image, guard, page.lock)),
        Route("/text/{item_id}", _endpoint(page.text, guard, page.lock)),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    return Starlette(routes=routes)


def _endpoint(handler: Handler, guard: Guard, lock: Lock) -> Callable[[Request], Awaitable[Response]]:
    def handle(request: Request, form: Mapping[str, str]) -> Response:
        with lock:
            return handler(request, form)

    async def endpoint(request: Request) -> Response:
        answer = guard.refusal(request)
        if answer is None:
            try:
                form = await _form(request)
                answer = await run_in_threadpool(handle, request, form)
            except CurateError as error:
                answer = PlainTextResponse(f"{error.message}\n", _status(error))
        answer.headers.update(HEADERS)
        return answer

    return endpoint


def _status(error: CurateError) -> int:
    if isinstance(error, BudgetSpentError):
        return 409
    return 400 if isinstance(error, BadDataError | UnknownNameError) else 503


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form that the page itself sent; empty for a request without one.

    Raises:
        BadDataError: it is too large, or no form of this page.
    """
    if request.method != "POST":
        return {}
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > _LARGEST_FORM:
            raise BadDataError("the form is too large")
    given = parse_qs(content.decode("utf-8", "replace"))
    form = {name: values[-1] for name, values in given.items() if name != TICKED}
    if TICKED in given:
        form[TICKED] = joined_values(given[TICKED])
    if not is_own_form(request, form.get("csrf", "")):
        raise BadDataError("the form is not of this page, or its session has ended; load the page again")
    return form


class _Page:
    """The handlers, each a function from a request and its form to an answer."""

    def __init__(self, office: Office, title: str) -> None:
        self.lock = Lock()
        self._office = office
        self._title = title

    def show(self, request: Request, form: Mapping[str, str]) -> Response:
        """Show the question that waits for a person, or ask for the name first."""
        return self._desk(request)

    def set_person(self, request: Request, form: Mapping[str, str]) -> Response:
        """Remember who labels in this browser; no name means that somebody else will."""
        given = form.get("person", "")
        answer = RedirectResponse("/", 303)
        set_cookie(request, answer, "person", quote(self._office.name(given)) if given else "")
        return answer

    def answer(self, request: Request, form: Mapping[str, str]) -> Response:
        """Keep an answer and show the next question."""
        place = _place(form)
        said = self._office.answer(
            self._person(request),
            place,
            value=self._value(place[1], form),
            reason=form.get("reason", ""),
            answer_id=_answer_id(form),
            saw=form.get("saw") == "1",
        )
        return self._after(request, said)

    def _value(self, attribute: str, form: Mapping[str, str]) -> str:
        """What a form says of an attribute: a value, or the list of those that are ticked, which may be none."""
        asked = self._office.protocol.attribute(attribute)
        if not asked.multiple or form.get("reason"):
            return "" if form.get("reason") else form.get("value", "")
        return form.get(TICKED, joined_values(()))

    def undo(self, request: Request, form: Mapping[str, str]) -> Response:
        """Take the last answer back and show its question again."""
        undone = self._office.undo(self._person(request), _answer_id(form))
        return self._after(request, None, "Taken back." if undone else "There is nothing to take back.")

    def pass_over(self, request: Request, form: Mapping[str, str]) -> Response:
        """Show another question; this one comes again later."""
        self._office.pass_over(self._person(request), _place(form))
        return self._after(request, None, "It comes again later.")

    def proposal(self, request: Request, form: Mapping[str, str]) -> Response:
        """Show what annotators claimed about a question, unless it is an audit's."""
        place = _place(request.query_params)
        proposals = self._office.proposals(self._office.question(*place))
        return _html("proposal.html", proposals=proposals)

    def image(self, request: Request, form: Mapping[str, str]) -> Response:
        """Send an item's image."""
        content = self._content(request)
        return Response(content.image, media_type=image_type(content))

    def text(self, request: Request, form: Mapping[str, str]) -> Response:
        """Send the whole of a text."""
        return PlainTextResponse(_printable(self._content(request).text))

    def owner(self, request: Request, form: Mapping[str, str]) -> Response:
        """Show agreement and people to the owner of the data."""
        standing = list(self._office.standing())
        names = sorted({answer.person for answer in standing} | set(self._office.taken_back))
        people = [_figures(name, standing, self._office.taken_back[name]) for name in names]
        found = agreements(standing, [attribute.name for attribute in self._office.attributes])
        progress = self._office.progress("")
        return _html("owner.html", title=self._title, agreements=found, people=people, progress=progress)

    def _name(self, request: Request) -> str:
        """Who labels in this browser; "" where nobody has said so, or said what is no name."""
        try:
            return self._office.name(unquote(cookie(request, "person")))
        except BadDataError:
            return ""

    def _person(self, request: Request) -> str:
        name = self._name(request)
        if not name:
            raise BadDataError("nobody has said who labels here; load the page again")
        return name

    def _content(self, request: Request) -> Any:
        content = self._office.desk.content(request.path_params["item_id"])
        if content is None:
            raise BadDataError("there is no such item")
        return content

    def _after(self, request: Request, said: PersonAnswer | None, note: str = "") -> Response:
        if request.headers.get("hx-request") != "true":
            return RedirectResponse("/", 303)
        return self._desk(request, said, note, template="desk.html")

    def _desk(
        self, request: Request, said: PersonAnswer | None = None, note: str = "", template: str = "page.html"
    ) -> Response:
        person = self._name(request)
        csrf = form_token(request)
        if not person:
            answer = _html("person.html", title=self._title, csrf=csrf)
        else:
            shown = self._shown(person, said, note)
            answer = _html(template, title=self._title, person=person, csrf=csrf, **shown)
        if csrf != cookie(request, "session"):
            set_cookie(request, answer, "session", csrf)
        return answer

    def _shown(self, person: str, said: PersonAnswer | None, note: str) -> dict[str, Any]:
        spent = self._office.is_spent()
        question = None if spent else self._office.next_question(person)
        content = self._office.desk.content(question.item_id) if question else None
        attribute = self._office.protocol.attribute(question.attribute) if question else None
        return {
            "question": question,
            "content": content,
            "attribute": attribute,
            "choices": choices(attribute) if attribute else [],
            "text": shown_text(content) if content else None,
            "events": shown_events(content) if content and content.modality == "events" else None,
            "answer_id": uuid4().hex,
            "undo_id": uuid4().hex,
            "spent": spent,
            "said": said,
            "note": note,
            "claimed": self._claimed(said),
            "last": self._office.last(person),
            "progress": self._office.progress(person),
        }

    def _claimed(self, said: PersonAnswer | None) -> Any:
        """What annotators had proposed, once it has been answered."""
        return self._office.proposals(Question(said.item_id, said.attribute)) if said and not said.reason else None


def _figures(name: str, standing: list[PersonAnswer], taken_back: int) -> dict[str, Any]:
    own = [answer for answer in standing if answer.person == name]
    counts = {reason: sum(answer.reason == reason for answer in own) for reason in ("", "cannot tell", "skip")}
    return {"name": name, "said": counts[""], "unsure": counts["cannot tell"], "skipped": counts["skip"],
            "taken_back": taken_back, "saw": sum(answer.saw_proposal for answer in own)}  # fmt: skip


def _place(form: Mapping[str, str]) -> tuple[str, str]:
    return form.get("item_id", ""), form.get("attribute", "")


def _answer_id(form: Mapping[str, str]) -> str:
    given = form.get("answer_id", "")
    if not (len(given) == 32 and given.isalnum() and given.isascii()):
        raise BadDataError("the form has no answer_id of its own; load the page again")
    return given


def _html(template: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(template).render(**values))


def _printable(value: Any) -> Any:
    """What no page can show (control characters, lone surrogates) as U+FFFD."""
    if type(value) is not str:
        return value
    return "".join("\ufffd" if (ord(c) < 32 and c not in "\n\t\r") or 0xD800 <= ord(c) <= 0xDFFF else c for c in value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["answer"] = shown_answer
    return environment
