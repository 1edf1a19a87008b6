"""Sending an export to a hub: a fake one of this machine, met by the real client in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.store.exports.check import check_export
from curate.store.snapshots import SnapshotSpec

TOKEN = "hf_for-the-fake-hub-only"
SPEC = SnapshotSpec("texts", "text", splits={"train": 1.0})
PUSH = """
import sys
from pathlib import Path
from curate.errors import CurateError
from curate.store.exports.hub import push_export
try:
    print(push_export(Path(sys.argv[1]), sys.argv[2], private=True))
except CurateError as error:
    print(type(error).__name__, error.message, error.hint, sep="|")
"""


@pytest.fixture
def fake_hub(repository: Path) -> Iterator[Any]:
    file = repository / "tests" / "support" / "fake_hub.py"
    specification = importlib.util.spec_from_file_location("fake_hub", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    with module.FakeHub(TOKEN) as hub:
        yield hub


@pytest.fixture
def push(fake_hub: Any, tmp_path: Path) -> Callable[..., str]:
    """Push a folder as another process would; returns what it says."""

    def run(folder: Path, repository: str = "someone/texts", **variables: str) -> str:
        surroundings = {"HF_ENDPOINT": fake_hub.address, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
        surroundings |= {"HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home"), **variables}
        command = [sys.executable, "-W", "ignore", "-c", PUSH, str(folder), repository]
        done = subprocess.run(command, env={**os.environ, **surroundings}, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""  # no bars and no remarks of the client: curate tells how far it has come
        return done.stdout.splitlines()[-1]

    return run


@pytest.fixture
def exported(add: Callable[..., int], make: Any, export: Callable[..., Path], tmp_path: Path) -> Path:
    add(items=make.items(make.ids(1, 2, 3)))
    return export(SPEC, tmp_path / "exports", check=check_export)


def test_the_hub_holds_what_the_folder_holds(
    exported: Path, push: Callable[..., str], fake_hub: Any, content_of: Any, add: Any, make: Any, export: Any
) -> None:
    assert push(exported) == "True"
    sent = fake_hub.repositories["someone/texts"]
    held = {path: content for path, content in sent.files.items() if path != ".gitattributes"}
    assert held == content_of(exported)
    assert sent.private
    assert len(sent.commits) == 1
    assert sent.commits[0].startswith("texts 1: ")

    assert push(exported) == "False"
    assert len(sent.commits) == 1

    add(items=make.items(make.ids(4)))
    export(SPEC, exported.parent)
    fake_hub.requests.clear()
    assert push(exported) == "True"
    assert {path: content for path, content in sent.files.items() if path != ".gitattributes"} == content_of(exported)
    assert sum(request.startswith("PUT") for request in fake_hub.requests) == 1


@pytest.mark.parametrize(
    ("variables", "target", "error", "says"),
    [
        ({"HF_TOKEN": ""}, "someone/texts", "ConfigurationError", "HF_TOKEN"),
        ({"HF_TOKEN": "another"}, "someone/texts", "RefusedRequestError", "401"),
        ({"HF_HUB_OFFLINE": "1"}, "someone/texts", "ConfigurationError", "HF_HUB_OFFLINE"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "someone/texts", "ServiceError", "could not be reached"),
        ({}, "some one/te xts", "ConfigurationError", "[export] hub"),
    ],
)
def test_what_goes_wrong_is_said(
    exported: Path,
    push: Callable[..., str],
    fake_hub: Any,
    variables: dict[str, str],
    target: str,
    error: str,
    says: str,
) -> None:
    said = push(exported, target, **variables)
    assert said.split("|")[0] == error, said
    assert says in said
    assert TOKEN not in said
    assert not any(entry.files for entry in fake_hub.repositories.values())


def test_a_folder_that_is_no_export_is_not_sent(tmp_path: Path, push: Callable[..., str], fake_hub: Any) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "diary.txt").write_text("private")
    assert push(tmp_path / "texts").startswith("ConfigurationError|texts is not an export")
    assert fake_hub.requests == []
