"""A real instruct model on loopback for measuring, and a cache that keeps every answer in a file of its own."""

import gzip
import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from curate.annotate.llm.client import request_key
from curate.annotate.llm.service import Service
from curate.errors import ConfigurationError
from curate.types import Request, Response

MODEL_VARIABLE = "CURATE_BENCH_MODEL"
MODEL = "qwen2.5-coder-1.5b-instruct-q4"
_USUAL = Path("~/.cache/curate-models/qwen2.5-coder-1.5b-instruct-q4.gguf")


class RecordedAnswers:
    """A request cache in a gzipped JSON Lines file, a line for each answer with its request; `save` writes it.

    Answers that the file holds cost nothing: a benchmark that asks the same again is a replay.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._kept: dict[str, tuple[Request, Response]] = {}
        self.fresh = 0
        if file.exists():
            for line in gzip.decompress(file.read_bytes()).decode().splitlines():
                entry = json.loads(line)
                request = Request("recorded", entry["payload"]["model"], entry["payload"])
                self._kept[request_key(entry["payload"])] = request, Response(**entry["response"])

    def look_up(self, keys: Sequence[str]) -> None:
        """Everything is in memory."""

    def get(self, key: str) -> Response | None:
        """Return a recorded answer."""
        found = self._kept.get(key)
        return found[1] if found else None

    def put(self, key: str, request: Request, response: Response) -> None:
        """Record an answer; every tenth writes the file, so that a run that is cut off is not lost."""
        with self._lock:
            self._kept[key] = request, response
            self.fresh += 1
            if self.fresh % 10 == 0:
                self.save()

    def save(self) -> None:
        """Write the file, in the order of the keys."""
        lines = [json.dumps(_entry(*self._kept[key]), sort_keys=False) for key in sorted(self._kept)]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


class InstructServer:
    """A llama.cpp server with a GGUF file on a free loopback port, started at the first request that is not recorded.

    The file is that of the variable CURATE_BENCH_MODEL, or where shared/models/qwen-1.5b puts it.
    """

    def __init__(self, slots: int = 4, threads: int = 2) -> None:
        self._slots, self._threads = slots, threads
        self._server: Any = None
        self._lock = Lock()

    def service(self) -> Service:
        """Describe the server to a client."""
        return Service(self._start, MODEL, timeout=600.0, attempts=2, concurrency=self._slots)

    def close(self) -> None:
        """Stop the server, if it runs."""
        with self._lock:
            self._server = None

    def _start(self) -> str:
        with self._lock:
            if self._server is None:
                self._server = _started(_model_file(), self._slots, self._threads)
            return f"{self._server.listening_address}/v1"


def _model_file() -> Path:
    file = Path(os.environ.get(MODEL_VARIABLE) or _USUAL).expanduser()
    if not file.is_file():
        raise ConfigurationError(
            f"there is no model at {file}, and not every answer is recorded",
            hint=f"put an instruct model's GGUF file there, or set {MODEL_VARIABLE}",
        )
    return file


def _started(file: Path, slots: int, threads: int) -> Any:
    llama = import_module("xllamacpp")
    parameters = llama.CommonParams()
    parameters.model.path = str(file)
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_parallel, parameters.n_ctx = slots, 2048 * slots
    for processors in (parameters.cpuparams, parameters.cpuparams_batch):
        processors.n_threads, processors.poll = threads, 0
    parameters.cache_prompt = True
    parameters.verbosity = -1
    parameters.ui = parameters.endpoint_slots = False
    parameters.warmup = False
    return llama.Server(parameters)


def _entry(request: Request, response: Response) -> dict[str, Any]:
    names = ("prompt_tokens", "completion_tokens", "cached_tokens", "seconds", "attempts")
    kept = {"choices": [{"message": choice["message"], "finish_reason": choice.get("finish_reason")}
                        for choice in response.body.get("choices", [])]}  # fmt: skip
    figures = {name: getattr(response, name) for name in names}
    return {"payload": request.payload, "response": {"body": kept, **figures}}
