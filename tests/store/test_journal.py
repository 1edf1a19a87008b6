"""The request journal: an answer that was received is on disk, and stays there until a commit holds it."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.store.journal import JOURNAL_FOLDER, Journal, StoredRequests, _parse, stored_responses
from curate.store.store import Store
from curate.store.write import Write
from curate.types import Request, Response

Spawn = Callable[..., subprocess.Popen[str]]
Ask = Callable[..., list[dict[str, Any]]]
REQUEST = Request("http://localhost/v1", "small", {"messages": [{"role": "user", "content": "ünï\nlines"}]})
RESPONSE = Response({"choices": [{"text": "yes}"}]}, prompt_tokens=3, completion_tokens=1, seconds=0.25, attempts=2)
PUT = """
    import os, signal, sys
    from pathlib import Path
    from curate.store.journal import Journal
    from curate.types import Request, Response
    journal = Journal(Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[3])):
        journal.put(f"{sys.argv[2]}-{number}", Request("a", "m", {}), Response({"from": sys.argv[2]}))
    os.kill(os.getpid(), signal.SIGKILL)
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / JOURNAL_FOLDER / "requests.jsonl"


def keys(folder: Path) -> set[str]:
    return set(Journal(folder).keys())


def start(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "ready\n"
    child.stdin.write("go\n")
    child.stdin.flush()


def test_an_answer_outlives_its_process(folder: Path, spawn: Spawn) -> None:
    child = spawn(PUT, folder, "a", 3)
    start(child)
    assert child.wait() == -signal.SIGKILL
    journal = Journal(folder)
    assert [journal.get(f"a-{number}") for number in range(3)] == [Response({"from": "a"})] * 3
    assert journal.get("a-3") is None


def test_processes_append_side_by_side(folder: Path, spawn: Spawn) -> None:
    children = [spawn(PUT, folder, name, 20) for name in "abc"]
    for child in children:
        start(child)
    for child in children:
        child.wait()
    assert keys(folder) == {f"{name}-{number}" for name in "abc" for number in range(20)}


@pytest.mark.parametrize(
    "torn", [b'{"key": "b", "requ', b'{"key": "b"}', b'{"key": "b", "request": {}', b"\xff\xfe\x00"]
)
def test_a_torn_last_line_is_ignored_and_ended(folder: Path, file: Path, torn: bytes) -> None:
    Journal(folder).put("a", REQUEST, RESPONSE)
    with file.open("ab") as stream:
        stream.write(torn)
    journal = Journal(folder)
    assert journal.keys() == {"a"}
    journal.put("c", REQUEST, RESPONSE)
    assert keys(folder) == {"a", "c"}


def test_every_torn_end_of_a_line_is_ignored(folder: Path, file: Path) -> None:
    journal = Journal(folder)
    journal.put("a", REQUEST, RESPONSE)
    whole = len(file.read_bytes())
    journal.put("b", REQUEST, RESPONSE)
    content = file.read_bytes()
    for end in range(whole, len(content) - 1):
        file.write_bytes(content[:end])
        assert keys(folder) == {"a"}
    file.write_bytes(content[:-1])
    assert keys(folder) == {"a", "b"}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.dictionaries(st.text(), JSON, max_size=3), body=st.dictionaries(st.text(), JSON, max_size=3))
def test_what_is_replayed_equals_what_was_received(folder: Path, payload: dict[str, Any], body: dict[str, Any]) -> None:
    response = Response(body, 1, 2, 3, 0.5, 6)
    Journal(folder).put("key", Request("address", "model", payload), response)
    journal = Journal(folder)
    assert journal.get("key") == response
    [row] = journal.drained({"key"}).to_pylist()
    assert (row["address"], row["model"], row["prompt_tokens"], row["attempts"]) == ("address", "model", 1, 6)


def test_forgetting_keeps_what_others_appended_meanwhile(folder: Path) -> None:
    journal = Journal(folder)
    journal.put("mine", REQUEST, RESPONSE)
    journal.put("later", REQUEST, RESPONSE)
    Journal(folder).put("theirs", REQUEST, RESPONSE)
    journal.forget({"mine", "unknown"})
    assert keys(folder) == journal.keys() == {"later", "theirs"}
    assert [path.name for path in (folder / JOURNAL_FOLDER).glob("*partial*")] == []


def test_what_another_process_received_meanwhile_is_seen(folder: Path, spawn: Spawn) -> None:
    journal = Journal(folder)
    assert journal.get("a-0") is None
    child = spawn(PUT, folder, "a", 2)
    start(child)
    child.wait()
    assert journal.get("a-1") == Response({"from": "a"})
    journal.put("mine", REQUEST, RESPONSE)
    assert journal.keys() == {"a-0", "a-1", "mine"}


def test_a_line_that_is_still_on_its_way_is_read_when_it_is_whole(folder: Path, file: Path) -> None:
    Journal(folder).put("a", REQUEST, RESPONSE)
    journal = Journal(folder)
    Journal(folder).put("b", REQUEST, RESPONSE)
    whole = file.read_bytes()
    for missing in (100, 2, 0):
        file.write_bytes(whole[: len(whole) - missing])
        assert journal.get("b") == (None if missing else RESPONSE)


def test_a_journal_that_another_wrote_anew_is_read_anew(folder: Path, file: Path) -> None:
    for key in "abc":
        Journal(folder).put(key, REQUEST, RESPONSE)
    journal = Journal(folder)
    for gone in ("a", "b"):  # twice: the file may lie where the first one lay
        Journal(folder).rewrite_without([gone])
    for key in "defg":  # now it is longer than what was read
        Journal(folder).put(key, REQUEST, RESPONSE)
    assert journal.get("g") == RESPONSE
    assert journal.keys() == {"c", "d", "e", "f", "g"}


def test_a_miss_reads_only_what_was_appended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal(folder).put("a", REQUEST, RESPONSE)
    journal = Journal(folder)
    read: list[bytes] = []
    parse = _parse
    monkeypatch.setattr("curate.store.journal._parse", lambda line: read.append(line) or parse(line))
    assert journal.get("b") is None
    assert read == []
    Journal(folder).put("b", REQUEST, RESPONSE)
    read.clear()
    assert journal.get("b") == RESPONSE
    assert len(read) == 1


def test_only_what_a_batch_used_is_drained(folder: Path) -> None:
    journal = Journal(folder)
    for key in "cab":
        journal.put(key, REQUEST, RESPONSE)
    assert journal.drained(["b", "a", "b", "unknown"])["request_key"].to_pylist() == ["a", "b"]
    assert len(journal.drained([])) == 0


def test_an_answer_moves_into_the_store_and_is_found_there(store: Store, ask: Ask) -> None:
    journal = Journal(store.folder)
    journal.put("key", REQUEST, RESPONSE)
    for _ in range(2):  # the second time as after a kill between commit and forget
        store.commit(Write("annotate", {"requests": journal.drained(["key"])}))
    journal.forget(["key"])
    assert journal.get("key") is None
    assert len(ask("FROM requests")) == 1
    with store.reader() as reader:
        assert stored_responses(reader, ["key", "other"]) == {"key": RESPONSE}


def test_the_cache_asks_the_journal_before_the_store(folder: Path) -> None:
    asked: list[str] = []

    def find(keys: Sequence[str]) -> dict[str, Response]:
        asked.extend(keys)
        return {}

    cache = StoredRequests(Journal(folder), find)
    assert cache.get("key") is None
    cache.put("key", REQUEST, RESPONSE)
    assert cache.get("key") == RESPONSE
    assert (asked, cache.used, cache.calls) == (["key"], {"key"}, 1)
    again = StoredRequests(Journal(folder), lambda keys: {})
    assert again.get("key") == RESPONSE
    assert (again.used, again.calls) == ({"key"}, 0)


def test_the_store_is_asked_once_about_what_is_looked_up_together(folder: Path) -> None:
    asked: list[list[str]] = []

    def find(keys: Sequence[str]) -> Mapping[str, Response]:
        asked.append(list(keys))
        return {"stored": RESPONSE} if "stored" in keys else {}

    cache = StoredRequests(Journal(folder), find)
    cache.put("journalled", REQUEST, RESPONSE)
    cache.look_up(["stored", "journalled", "unknown", "unknown"])
    assert [cache.get(key) for key in ("stored", "journalled", "unknown")] == [RESPONSE, RESPONSE, None]
    assert asked == [["stored", "unknown"]]
    assert cache.take_used() == {"journalled"}
    assert cache.take_used() == frozenset()


def test_threads_share_a_sync_and_every_answer_is_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, sync = Journal(folder), os.fsync
    syncs: list[int] = []
    first, others_wait = Event(), Event()

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        first.set()
        others_wait.wait(20)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    with ThreadPoolExecutor(9) as pool:
        pool.submit(journal.put, "key-0", REQUEST, RESPONSE)
        first.wait(20)
        puts = [pool.submit(journal.put, f"key-{number}", REQUEST, RESPONSE) for number in range(1, 9)]
        while len(journal._waiting) < 8:
            Event().wait(0.001)
        others_wait.set()
        for put in puts:
            put.result()
    files = [descriptor for descriptor in syncs if descriptor == syncs[0]]
    assert len(files) <= 3, "one for the first, one for the other eight, at most one for the folder"
    assert keys(folder) == {f"key-{number}" for number in range(9)}


def test_a_sync_that_fails_fails_for_every_thread_that_waited_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(folder)

    def full(descriptor: int) -> None:
        while len(journal._waiting) < 3 and not failed:
            Event().wait(0.001)
        failed.append(descriptor)
        raise OSError("No space left on device")

    failed: list[int] = []
    monkeypatch.setattr(os, "fsync", full)
    with ThreadPoolExecutor(4) as pool:
        puts = [pool.submit(journal.put, str(number), REQUEST, RESPONSE) for number in range(4)]
        assert all(isinstance(put.exception(), OSError) for put in puts)
    assert len(failed) == 2
    assert journal.entries() == []


def test_a_put_that_fails_is_not_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        raise OSError("No space left on device")

    journal = Journal(folder)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        journal.put("key", REQUEST, RESPONSE)
    assert journal.get("key") is None
