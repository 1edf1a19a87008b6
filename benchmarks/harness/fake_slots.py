"""A fake language model with so many slots: it sleeps for a known time instead of thinking, and counts who was busy.

It is no model: an answer's values and the seconds that it takes are fixed functions of the request. What it times is
the client. As a process of its own: `python -m benchmarks.harness.fake_slots --slots 64 --seconds 0.25` prints its
address and serves until it is killed. A GET of `/figures` tells what it did since the last `/forget`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_CHARACTERS_PER_TOKEN = 4


@dataclass
class Figures:
    """What a server did: times are of its clock, `busy` are slot-seconds, `asked` counts each request by its hash."""

    first: float = 0.0
    last: float = 0.0
    busy: float = 0.0
    overtime: float = 0.0
    asked: dict[str, int] = field(default_factory=dict)


class FakeSlots:
    """Answers at most `slots` requests at once, the others in the order of their arrival.

    A request takes between half and one and a half times `seconds`, by its hash. As a real server's, a slot remembers
    the prompt that it answered last, and what a request shares with it counts as cached.
    """

    def __init__(self, slots: int, seconds: float) -> None:
        self.seconds = seconds
        self.figures = Figures()
        self._free = [""] * slots
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def answer(self, body: bytes) -> bytes:
        """Wait for a slot, take the request's time, and answer it."""
        asked = json.loads(body)
        digest = request_hash(asked)
        figures = self.figures
        figures.first = figures.first or time.monotonic()
        figures.asked[digest] = figures.asked.get(digest, 0) + 1
        prompt, content = _read(asked, digest)
        while not self._free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        shared = _common(self._free.pop(), prompt)
        began, takes = time.monotonic(), self.seconds * (0.5 + int(digest[:8], 16) / 2**32)
        await asyncio.sleep(takes)
        figures.last = time.monotonic()
        figures.busy += takes
        figures.overtime += figures.last - began - takes
        self._free.append(prompt)
        if self._waiting:
            self._waiting.popleft().set_result(None)
        tokens = [size // _CHARACTERS_PER_TOKEN for size in (len(prompt), len(content), shared)]
        return _written(content, tokens)


class _Connection(asyncio.Protocol):
    """One connection that is kept open: requests come one after the other."""

    def __init__(self, fake: FakeSlots) -> None:
        self._fake = fake
        self._held = b""
        self._running: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, rest = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if len(rest) < size:
            return
        self._held = rest[size:]
        task = asyncio.get_running_loop().create_task(self._reply(head.split(b" ")[1], rest[:size]))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _reply(self, path: bytes, body: bytes) -> None:
        if path == b"/figures":
            content = json.dumps(vars(self._fake.figures)).encode()
        elif path == b"/forget":
            self._fake.figures, content = Figures(), b"{}"
        else:
            content = await self._fake.answer(body)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        self._transport.write(head.encode() + content)


@contextmanager
def fake_slots(slots: int, seconds: float) -> Iterator[str]:
    """Start a server in a process of its own and yield its address."""
    command = [sys.executable, "-m", "benchmarks.harness.fake_slots", "--slots", str(slots), "--seconds", str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def figures(address: str) -> Figures:
    """Return what a server did since it was last told to forget."""
    return Figures(**_get(address, "/figures"))


def forget(address: str) -> None:
    """Let a server begin its figures anew."""
    _get(address, "/forget")


def _get(address: str, path: str) -> Mapping[str, Any]:
    with urllib.request.urlopen(address.removesuffix("/v1") + path, timeout=10) as answer:
        found: Mapping[str, Any] = json.load(answer)
    return found


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common, by bisection."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def request_hash(payload: Mapping[str, Any]) -> str:
    """Return the name of a request in `Figures.asked`."""
    return sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def _read(asked: Mapping[str, Any], digest: str) -> tuple[str, str]:
    """Return the prompt of a request, and the answer's content."""
    if "prompt" in asked:
        return asked["prompt"], ""
    prompt = "\n".join(message["content"] for message in asked["messages"])
    properties = asked["response_format"]["json_schema"]["schema"]["properties"]
    chosen = {name: entry["enum"][int(digest[-4:], 16) % len(entry["enum"])] for name, entry in properties.items()}
    return prompt, json.dumps(chosen)


def _written(content: str, tokens: list[int]) -> bytes:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": {"role": "fake", "content": content}}
    if not content:
        listed = [{"token": token, "logprob": -1.0} for token in ("A", " code", " prose")]
        choice = {"finish_reason": "length", "text": "A", "logprobs": {"content": [{"top_logprobs": listed}]}}
    used = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    usage = {**used, "prompt_tokens_details": {"cached_tokens": tokens[2]}}
    return json.dumps({"object": "fake", "choices": [choice], "usage": usage}).encode()


async def _serve(slots: int, seconds: float) -> None:
    fake = FakeSlots(slots, seconds)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(fake), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.25)
    options = parser.parse_args()
    asyncio.run(_serve(options.slots, options.seconds))
