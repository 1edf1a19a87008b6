"""Real stores, rows to put in them, and real processes that use them at once."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pytest

from curate.store.store import Store
from curate.store.write import LedgerKey, Write, rows

Spawn = Callable[..., subprocess.Popen[str]]


class Make:
    """Rows of the tables that the tests fill most, each from item ids."""

    key = LedgerKey("align", "1", "p")

    @staticmethod
    def ids(*numbers: int) -> list[str]:
        """Ids that look like real ones, one a number."""
        return [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]

    @staticmethod
    def items(ids: Sequence[str], modality: str = "text", **content: Any) -> pa.Table:
        """Items whose text says their id, or with other content."""
        columns = {
            "item_id": list(ids),
            "modality": modality,
            "text": [f"text of {item}" for item in ids] if modality == "text" else None,
            "image": None,
            "events": None,
            "time_unit": None,
            "size": 1,
        }
        return rows("items", columns | content, len(ids))

    @staticmethod
    def origins(ids: Sequence[str], source: str = "web", entity: str | list[str] = "", **other: Any) -> pa.Table:
        """Origins, each at a place named after its item."""
        locators = [f"{item[:8]}.txt" for item in ids]
        columns = {"source": source, "locator": locators, "entity": entity, "licence": "", "metadata": ""}
        return rows("origins", {"item_id": list(ids), **columns, **other}, len(ids))

    @staticmethod
    def claims(ids: Sequence[str], values: Any, annotator: str = "rules", kind: str = "rule", **other: Any) -> pa.Table:
        """Annotations of the attribute `topic`."""
        columns = {
            "item_id": list(ids),
            "protocol": "p",
            "protocol_version": "1",
            "attribute": "topic",
            "value": values,
            "confidence": 1.0,
            "annotator": annotator,
            "annotator_kind": kind,
            "annotator_version": "1",
        }
        return rows("annotations", columns | other, len(ids))

    @staticmethod
    def scores(ids: Sequence[str], values: Any, version: str = "1", selector: str = "align") -> pa.Table:
        """Scores of a selector."""
        columns = {
            "item_id": list(ids),
            "selector": selector,
            "selector_version": version,
            "target": "t",
            "score": values,
        }
        return rows("scores", columns, len(ids))

    @staticmethod
    def decisions(ids: Sequence[str], action: str, step: str = "dedup", reason: str = "because") -> pa.Table:
        """One decision an item."""
        return rows("decisions", {"item_id": list(ids), "step": step, "action": action, "reason": reason}, len(ids))


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "store"
    Store.open(folder, create=True)
    return folder


@pytest.fixture
def store(folder: Path, empty_store: Path) -> Store:
    """An empty store, copied from one that was made once."""
    shutil.copytree(empty_store, folder, dirs_exist_ok=True)
    return Store.open(folder, create=False, lease_timeout=20.0, command="pytest")


@pytest.fixture
def add(store: Store) -> Callable[..., int]:
    """Commit tables by name; returns the commit's number."""

    def commit(step: str = "test", **tables: pa.Table) -> int:
        number = store.commit(Write(step, tables)).number
        assert number is not None
        return number

    return commit


@pytest.fixture
def ask(store: Store) -> Callable[..., list[dict[str, Any]]]:
    """Query what is published now."""

    def query(sql: str, parameters: Any = ()) -> list[dict[str, Any]]:
        with store.reader() as reader:
            found: list[dict[str, Any]] = reader.query(sql, parameters).to_pylist()
            return found

    return query


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start Python on a script; whoever is still alive after the test is killed."""
    children: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", dedent(script), *map(str, arguments)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()
