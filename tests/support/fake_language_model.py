"""A fake OpenAI-compatible server: every answer is a fixed function of the request; it fails in every way on demand.

From a test: `with FakeLanguageModelServer(faults=["500", "429:0"]) as server: … server.address … server.payloads`.
As a process: `python tests/support/fake_language_model.py --port 0` prints its address and serves until it is killed;
`--journal FILE` appends one line for each request that was answered well, so that a test can count what was paid for.

Faults are spent one a request, in order of arrival; then everything is answered well. `STATUS` or `STATUS:RETRY_AFTER`
answers with that status; the words are the keys of `FAULTS`.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Self

FAULTS: Mapping[str, str] = {
    "hang": "takes the request and says nothing until the server is closed",
    "trickle": "sends a byte, then nothing until the server is closed",
    "drip": "sends a byte every 20 milliseconds until the server is closed",
    "reset": "resets the connection",
    "broken body": "answers 200 with half a JSON object",
    "page": "answers 200 with a web page",
    "broken content": "a well-formed answer whose content is no JSON",
    "wrong value": "a well-formed answer with values outside the schema",
    "cut off": "a well-formed answer that ended at its longest length",
    "no choices": "a JSON object that is no answer",
    "no log-probabilities": "an answer to a completion without log-probabilities",
}


def pick(values: list[str], text: str) -> str:
    """Choose one of the values by the text alone."""
    return values[int.from_bytes(sha256(text.encode()).digest()[:8], "big") % len(values)]


def pick_some(entry: Mapping[str, Any], text: str) -> str | list[str]:
    """Choose a value that the schema of one attribute allows, or of a list every value whose own hash is even."""
    if entry["type"] == "array":
        return [value for value in entry["items"]["enum"] if pick(["yes", "no"], f"{text} {value}") == "yes"]
    return pick(entry["enum"], text)


def chat_answer(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the last message with a value or a list for each attribute, each token with log-probability -0.1."""
    text = payload["messages"][-1]["content"]
    text = text if isinstance(text, str) else json.dumps(text)
    properties = payload["response_format"]["json_schema"]["schema"]["properties"]
    content = json.dumps({name: pick_some(entry, name + text) for name, entry in properties.items()})
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    if payload.get("logprobs"):
        tokens = re.findall(r"\w+|\W", content)
        choice["logprobs"] = {"content": [{"token": token, "logprob": -0.1} for token in tokens]}
    return _body(choice, len(text), len(content))


def completion_answer(payload: Mapping[str, Any]) -> dict[str, Any]:
    """List the first word of each answer that the prompt's examples give; the chosen one is the likeliest."""
    prompt = payload["prompt"]
    label = prompt.rpartition("\n")[2]
    values = list(dict.fromkeys(re.findall(rf"^{re.escape(label)} (.+)$", prompt, re.MULTILINE))) or ["?"]
    chosen = pick(values, prompt)
    tokens = {f" {value.split()[0]}": -0.2 if value == chosen else -3.0 for value in values}
    listed = [{"token": token, "logprob": number} for token, number in tokens.items()]
    first = {**max(listed, key=lambda entry: entry["logprob"]), "top_logprobs": listed}
    choice = {"index": 0, "finish_reason": "length", "text": first["token"], "logprobs": {"content": [first]}}
    return _body(choice, len(prompt), 1)


def _body(choice: dict[str, Any], prompt: int, completion: int) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": {"cached_tokens": 0}}
    return {"object": "fake", "choices": [choice], "usage": usage}


def spoil(body: dict[str, Any], fault: str) -> dict[str, Any]:
    """Make a well-formed answer useless in the way that the fault names."""
    choice = body["choices"][0]
    message = choice.get("message", {})
    if fault == "no usage":
        del body["usage"]
    elif fault == "broken content":
        message["content"] = "I think that this is"
    elif fault == "wrong value":
        message["content"] = json.dumps(dict.fromkeys(json.loads(message["content"]), "no such value"))
    elif fault == "cut off":
        choice["finish_reason"], message["content"] = "length", message["content"][:5]
    elif fault == "no log-probabilities":
        choice.pop("logprobs", None)
    elif fault == "no choices":
        return {"object": "fake"}
    return body


class FakeLanguageModelServer:
    """Serves on loopback from its own threads; `payloads` and `headers` are what arrived, in order."""

    def __init__(
        self,
        faults: Iterable[str] = (),
        *,
        always: str = "",
        port: int = 0,
        journal: Path | None = None,
        told: str = "it failed on purpose",
    ) -> None:
        self.payloads: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.told = told
        self.answered = 0
        self._faults = chain(faults, repeat(always))
        self._journal = journal
        self._lock = Lock()
        self.closed = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        """Serve from a thread of this process."""
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, unless that is done."""
        self.close()

    def close(self) -> None:
        """Let go of whoever hangs, and stop."""
        if self.closed.is_set():
            return
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        """Serve from this thread until the process is killed."""
        self._server.serve_forever()

    def arrive(self, payload: dict[str, Any], headers: Mapping[str, str]) -> str:
        """Note a request and return the fault that it meets; "" for none."""
        with self._lock:
            self.payloads.append(payload)
            self.headers.append(headers)
            return next(self._faults)

    def note_answer(self, payload: Mapping[str, Any]) -> None:
        """Count a good answer before it is sent: from here on it is paid for."""
        with self._lock:
            self.answered += 1
            if self._journal is not None:
                with self._journal.open("a", encoding="utf-8") as journal:
                    journal.write(sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest() + "\n")


def _handler(fake: FakeLanguageModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if fake.closed.is_set():  # a connection that was kept open outlives the server's socket
                self.reset()
                return
            fault = fake.arrive(payload, dict(self.headers))
            if fault[:3].isdigit():
                status, _, wait = fault.partition(":")
                error = json.dumps({"error": {"message": fake.told}}).encode()
                self.reply(int(status), error, {"Retry-After": wait} if wait else {})
            elif fault in ("hang", "trickle", "drip"):
                self.stall(fault)
            elif fault == "reset":
                self.reset()
            else:
                self.answer(payload, fault)

        def answer(self, payload: Mapping[str, Any], fault: str) -> None:
            make = chat_answer if self.path.endswith("/chat/completions") else completion_answer
            content = json.dumps(spoil(make(payload), fault)).encode()
            spoiled: Mapping[str, Callable[[bytes], bytes]] = {
                "broken body": lambda whole: whole[: len(whole) // 2],
                "page": lambda _: b"<html>Welcome</html>",
            }
            if fault not in spoiled:
                fake.note_answer(payload)
            self.reply(200, spoiled.get(fault, bytes)(content), {})

        def reply(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def stall(self, fault: str) -> None:
            if fault != "hang":
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(b"{")
            with suppress(OSError):  # the client has gone
                while not fake.closed.wait(0.02 if fault == "drip" else None):
                    self.wfile.write(b" ")
            self.close_connection = True

        def reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def main() -> None:
    """Serve as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--faults", default="", help="comma-separated")
    parser.add_argument("--always", default="", help="the fault of every request after those")
    parser.add_argument("--journal", type=Path, help="append a line for each good answer")
    options = parser.parse_args()
    faults = [fault for fault in options.faults.split(",") if fault]
    server = FakeLanguageModelServer(faults, always=options.always, port=options.port, journal=options.journal)
    print(server.address, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
