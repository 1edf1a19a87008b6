"""Where a language model is served, and how patient its clients are."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from curate.errors import ConfigurationError


@dataclass(frozen=True)
class Service:
    """An OpenAI-compatible service and one of its models.

    `address` is the base address, usually ending in `/v1`, or a function that starts a server and returns it: it is
    called at the first request that the cache cannot answer, and at no other time.
    `timeout` bounds one attempt, in seconds, from connecting to the last byte; a request is tried `attempts` times,
    with waits that start at about `first_wait` seconds and double; a server that asks for more than `longest_wait`
    seconds is not waited for. `concurrency` is the number of requests under way at once; 0 requests
    or tokens a minute mean no limit.
    The key is read from the environment variable `api_key_variable` when it is needed, and kept nowhere.

    Raises:
        ConfigurationError: no model, or a number that cannot be.

    >>> Service("http://me:secret@127.0.0.1:8080/v1?key=secret", "tiny").shown_address
    'http://127.0.0.1:8080/v1'
    """

    address: str | Callable[[], str]
    model: str
    api_key_variable: str = "CURATE_LLM_KEY"
    timeout: float = 60.0
    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 60.0
    concurrency: int = 4
    requests_per_minute: int = 0
    tokens_per_minute: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be, before the first request is paid for."""
        if not self.model:
            raise ConfigurationError("a language model needs the name of a model", hint='set model = "…"')
        if not (self.timeout > 0 and self.attempts >= 1 and self.concurrency >= 1 and self.first_wait >= 0):
            raise ConfigurationError(f"time-out, attempts and concurrency must be positive: {self.shown_address}")
        if isinstance(self.address, str):
            _checked(self.address)

    def resolve(self) -> str:
        """Return the base address without a final slash, starting the server where the address is a function.

        Raises:
            ConfigurationError: it is no http or https address.
        """
        address = self.address if isinstance(self.address, str) else self.address()
        return urlunsplit(_checked(address)).rstrip("/")

    @property
    def shown_address(self) -> str:
        """The address as it may be shown and stored: without user, password and query."""
        if not isinstance(self.address, str):
            return "the embedded server"
        parts = urlsplit(self.address)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))

    @property
    def api_key(self) -> str:
        """The secret from the environment; empty where the variable is not set.

        Raises:
            ConfigurationError: it holds characters that no HTTP header can carry.
        """
        key = os.environ.get(self.api_key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError(
                f"the key in the environment variable {self.api_key_variable} holds characters that cannot be sent",
                hint=f"set {self.api_key_variable} again",
            )
        return key

    def hide_secrets(self, text: str) -> str:
        """Return the text without the key, should a server have repeated it."""
        key = self.api_key
        return text.replace(key, "***") if key else text


def is_loopback(address: str) -> bool:
    """Whether the address leads to this machine, where no proxy has a say.

    >>> is_loopback("http://127.0.0.1:8080/v1"), is_loopback("https://api.example.org/v1")
    (True, False)
    """
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            "the language model's address is not an http or https address",
            hint='write it like "http://127.0.0.1:8080/v1"',
        )
    return parts
