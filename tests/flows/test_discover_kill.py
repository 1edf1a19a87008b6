"""A run of `curate discover` that is killed: what was answered is not asked again, and the end is the same."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.harness.fake_analyst import answer_to
from benchmarks.harness.planted_captions import plant
from curate.store.reader import Reader

COUNT, CONCURRENCY = 20, 2
KILLS = (3, 40)
"""After so many answers: while dimensions are asked for, and while items are assigned."""
SETTINGS = """
[[source]]
name = "captions"
path = "captions.jsonl"
label = "animal"
attribute = "animal"

[discover]
enabled = true
of_class = "animal"
address = "{address}"
model = "fake"
sample = 24
rounds = 4
captions = 12
assigned = 0
concurrency = {concurrency}
"""
FOUND = "SELECT item_id, dimension, attribute, quote FROM memberships ORDER BY ALL"


def slow_fake_chat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Answer as the fake analyst would, slowly enough to be interrupted."""
    time.sleep(0.02)
    told = payload["response_format"]["json_schema"]
    content = json.dumps(answer_to(told["name"], payload["messages"][1]["content"], told["schema"]))
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


@pytest.fixture
def server(fake_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(fake_module, "chat_answer", slow_fake_chat)
    with fake_module.FakeLanguageModelServer() as serving:
        yield serving


def start(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "curate", "--quiet", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )


def to_the_end(folder: Path, *words: str) -> None:
    process = start(folder, *words)
    _, told = process.communicate()
    assert process.returncode == 0, told.decode()


def project(folder: Path, address: str) -> Path:
    folder.mkdir()
    lines = [json.dumps({"text": one.text, "animal": one.of_class}) for one in plant(COUNT, seed=5).captions]
    (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    settings = SETTINGS.format(address=address, concurrency=CONCURRENCY)
    (folder / "curate.toml").write_text(settings, encoding="utf-8")
    to_the_end(folder, "ingest")
    return folder


def found(folder: Path) -> list[dict[str, Any]]:
    with Reader(folder / "curate-store") as reader:
        return list(reader.query(FOUND).to_pylist())


def test_killed_twice_it_pays_only_for_what_was_under_way_again(tmp_path: Path, server: Any) -> None:
    whole = project(tmp_path / "whole", server.address)
    to_the_end(whole, "discover")
    asked = [json.dumps(one) for one in server.payloads]
    assert len(asked) > KILLS[-1] + CONCURRENCY
    server.payloads.clear()

    killed = project(tmp_path / "killed", server.address)
    for answers in KILLS:
        process = start(killed, "discover")
        while len(server.payloads) < answers and process.poll() is None:
            time.sleep(0.005)
        assert process.poll() is None, "it was to be killed while it worked"
        process.kill()
        process.communicate()
    to_the_end(killed, "discover")

    again = Counter(json.dumps(one) for one in server.payloads) - Counter(asked)
    assert again.total() <= CONCURRENCY * len(KILLS)
    assert found(killed) == found(whole)
    assert len(found(killed)) == 3 * COUNT
