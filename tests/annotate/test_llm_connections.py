"""Connections against a server that speaks raw bytes: what is kept open, what has ended, what goes through a proxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead
from threading import Thread

import pytest

from curate.annotate.llm.connections import Connections

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


class FakeRawServer:
    """Answers requests with given bytes, in order; "" in between ends the connection after the answer before it."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self._answers:
            connection, _ = self._socket.accept()
            self.connections += 1
            with connection, connection.makefile("rb") as stream:
                while self._answers and (answer := self._answers.pop(0)):
                    head = b"".join(iter(stream.readline, b"\r\n")).decode()
                    self.heads.append(head)
                    stream.read(int(head.lower().partition("content-length: ")[2].partition("\r")[0]))
                    connection.sendall(answer)
        self._socket.close()


@contextmanager
def connected(answers: Sequence[bytes], address: str = "") -> Iterator[tuple[FakeRawServer, Connections]]:
    server = FakeRawServer(answers)
    connections = Connections(address or f"{server.address}/v1/")
    try:
        yield server, connections
    finally:
        connections.close()


def post(connections: Connections) -> bytes:
    return connections.post("/completions", b"{}", {}, 5.0).content


def test_a_connection_is_kept_open() -> None:
    with connected([GOOD, CHUNKED, GOOD]) as (server, connections):
        assert [post(connections) for _ in range(3)] == [b"{}", b"abcde", b"{}"]
    assert server.connections == 1
    assert server.heads[0].startswith("POST /v1/completions HTTP/1.1\r\n")


def test_a_connection_that_the_server_ended_meanwhile_is_made_anew() -> None:
    with connected([GOOD, b"", GOOD]) as (server, connections):
        post(connections)
        connections._free[0].sock.recv(1, socket.MSG_PEEK)  # wait for the end
        assert post(connections) == b"{}"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", IncompleteRead),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", IncompleteRead),
        (b"SSH-2.0-server\r\n", HTTPException),
    ],
)
def test_an_answer_that_breaks_off_is_an_error_and_its_connection_not_used_again(
    answer: bytes, error: type[Exception]
) -> None:
    with connected([answer, b"", GOOD]) as (server, connections):
        with pytest.raises(error):
            post(connections)
        assert post(connections) == b"{}"
    assert server.connections == 2


def test_another_machine_is_reached_through_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with connected([GOOD]) as (server, _):
        proxy = server.address.replace("http://", "http://me:pass%3Aword@")
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        connections = Connections("http://model.example:8080/v1?key=k")
        assert post(connections) == b"{}"
        connections.close()
    assert server.heads[0].startswith("POST http://model.example:8080/v1/completions?key=k HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic bWU6cGFzczp3b3Jk" in server.heads[0]


def test_no_proxy_comes_between_this_machine_and_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with connected([GOOD]) as (_, connections):
        assert post(connections) == b"{}"


def test_an_encrypted_address_asks_the_proxy_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    asked = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{asked.getsockname()[1]}")
    heard: list[bytes] = []

    def refuse() -> None:
        connection, _ = asked.accept()
        with connection:
            heard.append(connection.recv(1000))
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    proxy = Thread(target=refuse)
    proxy.start()
    with pytest.raises(OSError, match="403"):
        post(Connections("https://model.example/v1"))
    proxy.join()
    asked.close()
    assert heard[0].startswith(b"CONNECT model.example:443 ")


def test_a_name_and_a_password_in_the_address_are_sent_as_such() -> None:
    with connected([GOOD]) as (server, _):
        connections = Connections(server.address.replace("http://", "http://me:word@"))
        post(connections)
        connections.close()
    assert "Authorization: Basic bWU6d29yZA==" in server.heads[0]
