"""Who may use the page: a token in the address, the page's own hosts, forms that only the page itself sends."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_YEAR = 365 * 24 * 3600
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets in who has the `token` ("" = everybody who reaches the page); the owner's pages want `owner_token` besides.

    With `hosts`, requests must name one of them: a page of another name that resolves to this machine gets nothing.
    """

    owner_token: str
    token: str = ""
    hosts: frozenset[str] = LOOPBACK

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to who may not come in, or who has just shown a token; None where all is well."""
        if self.hosts and (request.url.hostname or "") not in self.hosts:
            return _refused("this page has another address")
        if request.method == "POST" and not _is_own(request):
            return _refused("forms come from the page itself only")
        owner = request.url.path.startswith("/owner")
        name, secret = ("owner", self.owner_token) if owner else ("token", self.token)
        if not secret or _same(cookie(request, name), secret):
            return None
        if request.method == "GET" and _same(request.query_params.get("token", ""), secret):
            answer = RedirectResponse(request.url.path, 303)
            set_cookie(request, answer, name, secret)
            return answer
        return _refused("the address lacks its token; use the whole address that `curate label` printed")


def form_token(request: Request) -> str:
    """Return what proves that a form is the page's own: the session's secret, a new one where there is none."""
    return cookie(request, "session") or token_urlsafe(24)


def is_own_form(request: Request, given: str) -> bool:
    """Whether a form holds the session's secret."""
    return _same(cookie(request, "session"), given)


def cookie(request: Request, name: str) -> str:
    """Return one of the page's cookies, "" where it is not there; pages at other ports have cookies of their own."""
    return request.cookies.get(_cookie_name(request, name), "")


def set_cookie(request: Request, answer: Response, name: str, value: str) -> None:
    """Let the browser keep a value for a year; no script and no other site gets at it."""
    answer.set_cookie(
        _cookie_name(request, name),
        value,
        max_age=_YEAR,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _cookie_name(request: Request, name: str) -> str:
    return f"curate-{name}-{request.url.port or 0}"


def _is_own(request: Request) -> bool:
    """Whether a browser says of a request that the page itself made it; what says nothing is decided by the form."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}":
        return False
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def _same(one: str, other: str) -> bool:
    return bool(one) and compare_digest(one.encode(), other.encode())


def _refused(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 403)
