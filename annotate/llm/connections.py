"""Connections to one address that are kept open, over the standard library's HTTP: a third of httpx's processor time.

With 64 requests under way a client's own time is what keeps a server's slots waiting, and httpx takes most of it.
"""

from __future__ import annotations

import http.client
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from select import POLLIN, poll
from socket import socket
from threading import Lock
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from curate.annotate.llm.service import is_loopback

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: the status, the headers, the bytes."""

    status: int
    headers: Message
    content: bytes


class Connections:
    """Sends requests to the server of one address; threads may do so at once, each over a connection of its own.

    The environment's proxies (HTTPS_PROXY, NO_PROXY …) are used for other machines. Redirects are not followed.
    """

    def __init__(self, address: str) -> None:
        self._parts = urlsplit(address)
        self._proxy = _proxy(address)
        self._certificates = _certificates() if self._parts.scheme == "https" else None
        self._lock = Lock()
        self._free: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close what is not in use."""
        with self._lock:
            while self._free:
                self._free.pop().close()

    def post(self, path: str, content: bytes, headers: Mapping[str, str], timeout: float) -> Reply:
        """Send a request and return the whole answer, within `timeout` seconds from now to the last byte.

        Raises:
            TimeoutError: it took longer.
            OSError: no connection, or it broke.
            http.client.HTTPException: what came back is no HTTP.
        """
        deadline = time.monotonic() + timeout
        connection = self._take(timeout)
        try:
            reply = self._exchange(connection, path, content, headers, deadline)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._free.append(connection)
        return reply

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        content: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Reply:
        if connection.sock is None:
            connection.connect()
        used = connection.sock  # the connection lets go of it where the server will close it
        used.settimeout(_left(deadline))
        connection.request("POST", self._target(path), content, {**self._own_headers(), **headers})
        received = bytearray()
        with connection.getresponse() as response:
            while chunk := response.read1(_CHUNK):
                received += chunk
                used.settimeout(_left(deadline))
        if response.length:
            raise http.client.IncompleteRead(bytes(received[:100]), response.length)
        return Reply(response.status, response.headers, bytes(received))

    def _take(self, timeout: float) -> http.client.HTTPConnection:
        """Return a connection that the server has not closed meanwhile, the one used last first, or a new one."""
        while True:
            with self._lock:
                connection = self._free.pop() if self._free else None
            if connection is None:
                return self._new(timeout)
            if connection.sock is None or not _has_ended(connection.sock):
                return connection
            connection.close()

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        place, secure = self._proxy or self._parts, self._certificates
        port = place.port or (443 if secure and not self._proxy else 80)
        if secure is None:
            return http.client.HTTPConnection(place.hostname or "", port, timeout=timeout)
        connection = http.client.HTTPSConnection(place.hostname or "", port, timeout=timeout, context=secure)
        if self._proxy:  # plain to the proxy, then encrypted through it
            connection.set_tunnel(self._parts.hostname or "", self._parts.port or 443, _login(self._proxy, "Proxy-"))
        return connection

    def _target(self, path: str) -> str:
        query = f"?{self._parts.query}" if self._parts.query else ""
        target = self._parts.path.rstrip("/") + path + query
        if self._proxy and self._certificates is None:
            return f"http://{self._parts.netloc.rpartition('@')[2]}{target}"
        return target

    def _own_headers(self) -> Mapping[str, str]:
        own = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "curate"}
        through_proxy = _login(self._proxy, "Proxy-") if self._proxy and self._certificates is None else {}
        return own | _login(self._parts, "") | through_proxy


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer came too slowly")
    return left


def _has_ended(used: socket) -> bool:
    """Whether there is something to read where nothing was asked: the end, mostly."""
    poller = poll()
    poller.register(used, POLLIN)
    return bool(poller.poll(0))


def _proxy(address: str) -> SplitResult | None:
    parts = urlsplit(address)
    if is_loopback(address) or proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return urlsplit(found if "://" in found else f"http://{found}") if found else None


def _login(parts: SplitResult, prefix: str) -> dict[str, str]:
    """Return the header for a name and password in an address."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {f"{prefix}Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _certificates() -> ssl.SSLContext:
    """Read the certificates once for all connections: it takes 20 ms. certifi's, as httpx chooses them."""
    import httpx

    return httpx.create_ssl_context()
