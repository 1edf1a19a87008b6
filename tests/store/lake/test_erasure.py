"""Erasure on a lake: no file and no bound of the catalog holds the content, the rest stays, a kill is made good."""

import hashlib
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import BadDataError
from curate.store.address import LakeAddress
from curate.store.care.erasure import ErasurePlan, erase
from curate.store.care.garbage import collect_garbage
from curate.store.care.integrity import check_integrity
from curate.store.care.traces import find_traces
from curate.store.comparison import differences
from curate.store.copy import copy_store
from curate.store.ingestion.canonical import text_id
from curate.store.journal import Journal
from curate.store.reader import Reader
from curate.store.store import Store
from curate.store.why import explain
from curate.store.write import Write, rows
from curate.types import Request, Response

Ask = Callable[..., list[dict[str, Any]]]
Spawn = Callable[..., "subprocess.Popen[str]"]
MARKER = "Aaron Planted 7f3e9c1d lives in Marker Lane 5"
TEXT = f"{MARKER}, and this is the beginning of a longer letter."
PICTURE = hashlib.sha256(b"picture").digest() * 40
OTHERS = [f"an innocent text of number {number}" for number in range(6)]
VICTIM, PICTURE_ID, *OTHER_IDS = text_id(TEXT), "f" * 64, *map(text_id, OTHERS)


def request(text: str) -> Request:
    return Request("http://127.0.0.1", "m", {"messages": [{"role": "user", "content": text}]})


@pytest.fixture
def filled(store: Store, make: Any) -> Store:
    """A lake in which the victim has left traces, in files beside others and alone in one."""

    def add(step: str, **tables: pa.Table) -> None:
        assert store.commit(Write(step, tables)).number

    journal = Journal(store.folder)
    journal.put("drained", request(TEXT), Response({"choices": [{"text": MARKER}]}))
    journal.put("innocent", request(OTHERS[0]), Response({"choices": []}))
    ids = [VICTIM, *OTHER_IDS[:3]]
    detail = [f"no JSON near 'x: {MARKER[:30]}…'", "no JSON near 'something else'"]
    reject = {"source": "web", "locator": ["broken.jsonl#3", "fine.jsonl#1"], "reason": "broken-json", "detail": detail}
    add(
        "ingest",
        items=make.items(ids, text=[TEXT, *OTHERS[:3]], size=9),
        origins=make.origins(ids, metadata=[json.dumps({"author": MARKER}), "", "", ""]),
        rejects=rows("rejects", {**reject, "fingerprint": "f"}),
    )
    add("ingest", items=make.items([PICTURE_ID], "image", image=[PICTURE]), origins=make.origins([PICTURE_ID]))
    add("ingest", items=make.items(OTHER_IDS[3:], text=OTHERS[3:]), origins=make.origins(OTHER_IDS[3:]))
    add("annotate", annotations=make.claims([VICTIM], MARKER), requests=journal.drained(["drained"]))
    journal.put("waiting", request(TEXT), Response({"choices": [{"text": MARKER}]}))
    snapshot = {"snapshot": "set", "number": 1, "content_hash": "h", "size": 2, "spec": "{}", "spec_hash": "s"}
    held = {"snapshot": "set", "number": 1, "item_id": ids, "label": "prose", "split": "train", "score": None}
    add(
        "snapshot",
        snapshots=rows("snapshots", {**snapshot, "as_of": 3, "funnel": "{}"}),
        snapshot_items=rows("snapshot_items", held, 4),
    )
    return store


def plan_for(store: Store, *items: str) -> ErasurePlan:
    with store.reader() as reader:
        return ErasurePlan.of(items, find_traces(reader, Journal(store.folder), items), "asked for")


def holders(lake: LakeAddress, postgres: Any) -> set[str]:
    """What holds the content: files by their table's folder, as bytes or as rows, and the catalog."""
    needles = MARKER[:15], PICTURE[:64].decode("latin-1"), repr(PICTURE[:64])[2:-1], PICTURE[:30].hex().upper()
    found = set()
    for path in filter(Path.is_file, lake.folder.rglob("*")):
        content = path.read_bytes().decode("latin-1")
        content += repr(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        found |= {path.parent.name} if any(needle in content for needle in needles) else set()
    dump = postgres.dump(lake.catalog.split()[0].partition("=")[2])
    return found | ({"catalog"} if any(needle in dump for needle in needles) else set())


def test_no_file_holds_it_and_the_others_stay(
    filled: Store, lake: LakeAddress, postgres: Any, ask: Ask, make: Any
) -> None:
    assert holders(lake, postgres) == {"items", "origins", "annotations", "requests", "rejects", "journals", "catalog"}
    collect_garbage(filled)  # so that files which a merge replaced hold it too
    left = lake.folder / "data" / "main" / "items" / "ducklake-left-by-a-kill.parquet"
    left.write_bytes(next(path for path in left.parent.iterdir() if MARKER in repr(pq.read_table(path))).read_bytes())
    plan = plan_for(filled, VICTIM, PICTURE_ID)
    assert plan.requests == ("drained", "waiting")
    lost = erase(filled, plan)
    assert lost == {"items": 2, "origins": 2, "annotations": 1, "requests": 1}
    assert holders(lake, postgres) == set()

    assert sorted(row["item_id"] for row in ask("FROM items")) == sorted(OTHER_IDS)
    assert ask("SELECT count(*) AS n FROM items WHERE text < 'an j'") == [{"n": 6}]
    assert {row["item_id"] for row in ask("FROM snapshot_items")} >= {VICTIM}
    assert {row["locator"]: bool(row["detail"]) for row in ask("FROM rejects")} == {
        "broken.jsonl#3": False,
        "fine.jsonl#1": True,
    }
    assert Journal(lake.folder).keys() == {"innocent"}
    with filled.reader() as reader, pytest.raises(BadDataError, match="was erased in commit 6: asked for"):
        explain(reader, VICTIM[:10])
    assert {check.what for check in check_integrity(lake) if not check.sound} <= {"items", "snapshots"}  # made up here
    again = filled.commit(Write("ingest", {"items": make.items([VICTIM, "e" * 64], text=[TEXT, "aa"])}))
    assert again.added == {"items": 1}
    assert ask("SELECT count(*) AS n FROM items WHERE text < 'ab'") == [{"n": 1}]
    assert erase(filled, plan) == {}
    assert filled.commit(Write("ingest", {"items": make.items(["d" * 64])})).number == 8


def test_a_file_that_goes_as_a_whole_leaves_no_bound(filled: Store, lake: LakeAddress, postgres: Any) -> None:
    erase(filled, plan_for(filled, PICTURE_ID))
    assert PICTURE[:30].hex().upper() not in postgres.dump(lake.catalog.split()[0].partition("=")[2])


KILLED_AT = """
    import os, signal, sys
    from pathlib import Path
    from curate.store.address import LakeAddress
    from curate.store.care import erasure, lake_erasure
    from curate.store.care.traces import find_traces
    from curate.store.journal import Journal
    from curate.store.lake import maintenance
    from curate.store.store import Store
    store = Store.open(LakeAddress(sys.argv[1], Path(sys.argv[2])), create=True, command="victim")
    with store.reader() as reader:
        plan = erasure.ErasurePlan.of([sys.argv[5]], find_traces(reader, Journal(store.folder), [sys.argv[5]]), "r")
    owner = {"lake_erasure": lake_erasure, "maintenance": maintenance}[sys.argv[3]]
    setattr(owner, sys.argv[4], lambda *arguments: os.kill(os.getpid(), signal.SIGKILL))
    erasure.erase(store, plan)
"""


@pytest.mark.parametrize(
    "place",
    [
        ("maintenance", "_forget_snapshots"),
        pytest.param(("lake_erasure", "forget_deleted"), marks=pytest.mark.slow),
        pytest.param(("maintenance", "mark_clean"), marks=pytest.mark.slow),
    ],
)
def test_who_writes_next_finishes_what_a_kill_left(
    filled: Store, lake: LakeAddress, postgres: Any, spawn: Spawn, place: tuple[str, str], tmp_path: Path
) -> None:
    assert spawn(KILLED_AT, lake.catalog, lake.folder, *place, VICTIM).wait() == -signal.SIGKILL
    assert [check.remedy for check in check_integrity(lake) if check.what == "erasure"] == ["curate gc"]
    other_machine = LakeAddress(lake.catalog, tmp_path / "another")
    Store.open(other_machine, create=True, lease_timeout=60.0)
    assert MARKER[:15] not in postgres.dump(lake.catalog.split()[0].partition("=")[2])
    assert not [path for path in Path(lake.data_path).rglob("*.parquet") if MARKER in repr(pq.read_table(path))]
    assert not [check for check in check_integrity(lake) if check.what == "erasure"]


def test_the_same_rows_as_on_an_embedded_store(filled: Store, lake: LakeAddress, tmp_path: Path) -> None:
    copy_store(lake, tmp_path / "embedded", lease_timeout=60.0)
    embedded = Store.open(tmp_path / "embedded", create=False)
    for store in (filled, embedded):
        erase(store, plan_for(store, VICTIM))
    with Reader(lake) as one, embedded.reader() as other:
        assert differences(one, other) == []
