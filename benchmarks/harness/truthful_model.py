"""A fake language model that tells the truth about numbered items, and counts each question that it is asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

Truth = Callable[[int, str], str]
"""What is true of an item, by its number, about an attribute; of several values the JSON list."""


class TruthfulModel:
    """Answers `/chat/completions` on loopback. `truth` may change between requests; `asked` counts questions."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.address = ""
        self.asked: Counter[tuple[int, str]] = Counter()
        self.requests = 0
        self._lock = Lock()

    def forget(self) -> None:
        """Begin to count anew."""
        self.asked, self.requests = Counter(), 0

    def answer(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request: all attributes of its schema about the item in its last message."""
        number = item_number(payload["messages"][-1]["content"])
        properties = payload["response_format"]["json_schema"]["schema"]["properties"]
        with self._lock:
            self.requests += 1
            self.asked.update((number, name) for name in properties)
        said = {name: self.truth(number, name) for name in properties}
        content = {name: json.loads(said[name]) if entry["type"] == "array" else said[name]
                   for name, entry in properties.items()}  # fmt: skip
        message = {"role": "assistant", "content": json.dumps(content)}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}


def item_text(number: int) -> str:
    """Return the text of an item."""
    return f"outfit number {number}"


def item_number(text: str) -> int:
    """Return the number of the item with this text."""
    return int(re.findall(r"\d+", text)[-1])


@contextmanager
def truthful_model(truth: Truth) -> Iterator[TruthfulModel]:
    """Serve from threads of this process."""
    model = TruthfulModel(truth)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model))
    server.daemon_threads = True
    model.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()


def _handler(model: TruthfulModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            content = json.dumps(
                model.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
