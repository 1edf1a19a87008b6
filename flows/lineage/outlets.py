"""Where events go: lines of a file, requests to an address. What goes wrong there is a note and nothing more."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from curate.settings import LineageSettings

ENDPOINT = "/api/v1/lineage"
PAUSE_SECONDS = 60.0


class Outlet(Protocol):
    """One place that events go to."""

    def send(self, line: str) -> str:
        """Send one event as a line of JSON; return what went wrong, "" if nothing did."""
        ...


class Outlets:
    """All places that the settings name; none by default."""

    def __init__(self, settings: LineageSettings, resolve: Callable[[str], Path]) -> None:
        self._outlets: list[Outlet] = []
        if settings.file:
            self._outlets.append(FileOutlet(resolve(settings.file)))
        if settings.address:
            key = os.environ.get(settings.key_variable, "")
            self._outlets.append(AddressOutlet(settings.address, key, settings.timeout))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._outlets)

    def send(self, event: Mapping[str, Any], note: Callable[[str], None]) -> None:
        """Send an event everywhere; `note` hears of each place that did not take it."""
        line = json.dumps(event, ensure_ascii=False)
        for outlet in self._outlets:
            if problem := outlet.send(line):
                note(f"lineage: {problem}")


class FileOutlet:
    """Appends each event as one line; several processes may share the file, for each holds it while it writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, line: str) -> str:
        """Append the line and flush it to the operating system."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b", buffering=0) as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.write(_mended(stream) + line.encode() + b"\n")
        except OSError as error:
            return f"{self._path} cannot be written: {error.strerror or error}"
        return ""


class AddressOutlet:
    """Posts each event to an OpenLineage server; after a failure it leaves the server alone for a minute.

    Redirects are not followed. The key goes into the header `Authorization: Bearer …`.
    """

    def __init__(self, address: str, key: str, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        bare = urlsplit(address).path in ("", "/")
        self._address = address.rstrip("/") + ENDPOINT if bare else address
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._timeout = timeout
        self._clock = clock
        self._silent_until = -1.0

    def send(self, line: str) -> str:
        """Post the event, unless the server has just failed."""
        if self._clock() < self._silent_until:
            return ""
        problem = self._post(line)
        if problem:
            self._silent_until = self._clock() + PAUSE_SECONDS
            return f"{self._address} {problem}; it gets no events for {PAUSE_SECONDS:g} s"
        return ""

    def _post(self, line: str) -> str:
        import httpx

        try:
            # The answer's body is not read: nobody needs it, and it might never end.
            with httpx.stream(
                "POST", self._address, content=line.encode(), headers=self._headers, timeout=self._timeout
            ) as response:
                code = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return f"cannot be reached: {type(error).__name__}: {error}"
        return "" if 200 <= code < 300 else f"answered {code}"


def _mended(stream: Any) -> bytes:
    """A line end, where a full disk cut the last line off."""
    if not stream.seek(0, os.SEEK_END):
        return b""
    stream.seek(-1, os.SEEK_END)
    return b"" if stream.read(1) == b"\n" else b"\n"
