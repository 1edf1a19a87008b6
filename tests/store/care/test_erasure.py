"""Erasure: afterwards no file of the store holds the content, what else holds it is told, and it does not come back."""

import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import BadDataError, StoreError, UsageError
from curate.store.care.erasure import KEPT_TABLES, PLAN_FILE, ErasurePlan, erase, items_where
from curate.store.care.garbage import collect_garbage
from curate.store.care.tombstones import refuse_erased
from curate.store.care.traces import Traces, find_traces, shows
from curate.store.comparison import differences
from curate.store.database import LEDGER_FILE, open_ledger
from curate.store.embeddings import embedding_rows
from curate.store.ingestion.canonical import text_id
from curate.store.journal import Journal
from curate.store.manifest import read_manifest
from curate.store.reader import Reader
from curate.store.results import read_rows
from curate.store.schema import TABLES
from curate.store.store import Store
from curate.store.why import explain
from curate.store.work import LedgerKey
from curate.store.write import CursorMove, Write, rows
from curate.types import Request, Response

Add = Callable[..., int]
Ask = Callable[..., list[dict[str, Any]]]
Spawn = Callable[..., subprocess.Popen[str]]
MARKER = "Johanna Planted 7f3e9c1d lives in Marker Lane 5"
TEXT = f"{MARKER}, and this is the beginning of a longer letter.\n" + "She writes and writes. " * 40
PICTURE = hashlib.sha256(b"picture").digest() * 40
"""Bytes that no compression changes, so that they can be found in a file as they are."""
VICTIM, PICTURE_ID, OTHER = text_id(TEXT), "f" * 64, text_id("an innocent text")


def request(text: str) -> Request:
    return Request("http://127.0.0.1", "m", {"messages": [{"role": "user", "content": text[:300] + "…"}]})


@pytest.fixture
def filled(folder: Path, filled_once: Path) -> Store:
    """A store in which the victim has left traces everywhere, over several commits."""
    shutil.copytree(filled_once, folder)
    return Store.open(folder, create=False, lease_timeout=20.0, command="pytest")


@pytest.fixture
def ask(filled: Store) -> Ask:
    """Query what is published now."""

    def query(sql: str, parameters: Any = ()) -> list[dict[str, Any]]:
        with filled.reader() as reader:
            found: list[dict[str, Any]] = reader.query(sql, parameters).to_pylist()
            return found

    return query


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory: pytest.TempPathFactory, make: Any) -> Path:
    store = Store.open(tmp_path_factory.mktemp("filled") / "store", create=True)

    def add(step: str, **tables: pa.Table) -> None:
        assert store.commit(Write(step, tables)).number

    journal = Journal(store.folder)
    journal.put("drained", request(TEXT), Response({"choices": [{"text": f"it is about {MARKER[:20]}"}]}))
    journal.put("innocent", request("an innocent text"), Response({"choices": []}))
    ids = [VICTIM, OTHER]
    add(
        "ingest",
        items=make.items(ids, text=[TEXT, "an innocent text"], size=9),
        origins=make.origins(ids, entity=["web:letter", ""], metadata=[json.dumps({"author": MARKER}), ""]),
        rejects=rows(
            "rejects",
            {
                "source": "web",
                "locator": ["broken.jsonl#3", "fine.jsonl#1"],
                "reason": "broken-json",
                "detail": [f"no JSON near 'x: {MARKER[:30]}…'", "no JSON near 'something else'"],
                "fingerprint": "f",
            },
        ),
    )
    add("ingest", items=make.items([PICTURE_ID], "image", image=[PICTURE]), origins=make.origins([PICTURE_ID]))
    add(
        "annotate",
        annotations=make.claims(ids, "prose", value=["Johanna Planted", "prose"]),
        requests=journal.drained(["drained"]),
        embeddings=embedding_rows("pixels:1/1", ids, np.array([[0.5], [0.25]], np.float32)),
        failures=rows(
            "failures", {"item_id": VICTIM, "step": "annotate", "actor": "m", "reason": f"unusable: {MARKER}"}
        ),
    )
    journal.put("waiting", request(TEXT), Response({"choices": [{"text": MARKER}]}))
    snapshot = rows(
        "snapshots",
        {
            "snapshot": "set",
            "number": 1,
            "content_hash": "h",
            "size": 2,
            "spec": "{}",
            "spec_hash": "s",
            "as_of": 3,
            "funnel": "{}",
        },
    )
    held = {"snapshot": "set", "number": 1, "item_id": ids, "label": "prose", "split": "train", "score": None}
    add("snapshot", snapshots=snapshot, snapshot_items=rows("snapshot_items", held, 2))
    checkpoint = {name: "x" for name, kind in _columns("checkpoints") if kind == pa.string()}
    numbers = {name: 1 for name, kind in _columns("checkpoints") if kind == pa.int64()}
    row = {**checkpoint, **numbers, "classes": [["prose"]], "snapshot": "set"}
    add("learn", checkpoints=rows("checkpoints", row, 1))
    key = LedgerKey("align", "1", "p")
    store.commit(Write("align", {"scores": make.scores(ids, 0.5)}, (), key, ids))
    add("dedup", duplicates=_duplicate(OTHER, VICTIM))
    return store.folder


def _columns(name: str) -> tuple[tuple[str, pa.DataType], ...]:
    return next(entry.columns for entry in TABLES if entry.name == name)


def _duplicate(item_id: str, original: str) -> pa.Table:
    return rows("duplicates", {"item_id": item_id, "duplicate_of": original, "similarity": 0.9, "method": "near"})


def plan_for(store: Store, *items: str) -> ErasurePlan:
    with store.reader() as reader:
        return ErasurePlan.of(items, find_traces(reader, Journal(store.folder), items), "asked for")


def everything(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file of a store: its bytes as they are, and what Parquet and DuckDB make of them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                yield path, repr(pq.read_table(path).to_pylist())
    with duckdb.connect(str(folder / LEDGER_FILE), read_only=True) as connection:
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            connection.execute("SET TimeZone = 'UTC'")
            yield folder / LEDGER_FILE, repr(read_rows(connection, f'FROM "{name}"').to_pylist())


def holders(folder: Path, *needles: bytes) -> set[str]:
    """The names of the files that hold one of these."""
    found = set()
    for path, content in everything(folder):
        if any(needle.decode("latin-1") in content or repr(needle)[2:-1] in content for needle in needles):
            found.add(path.name.partition("-")[0])
    return found


def test_no_byte_of_it_is_left(filled: Store) -> None:
    needles = MARKER[:15].encode(), PICTURE[:64]
    before = holders(filled.folder, *needles)
    assert before >= {"items", "origins", "annotations", "failures", "requests", "rejects", LEDGER_FILE}
    assert PICTURE[:64] in (filled.folder / LEDGER_FILE).read_bytes()
    collect_garbage(filled)  # so that replaced segments hold it too
    with (filled.folder / "journals" / "requests.jsonl").open("ab") as journal:
        journal.write(b'{"torn": "' + MARKER.encode())
    lost = erase(filled, plan_for(filled, VICTIM, PICTURE_ID))
    assert holders(filled.folder, *needles) == set()
    assert lost["items"] == 2
    assert not (filled.folder / PLAN_FILE).exists()


def test_the_others_stay(filled: Store, ask: Ask) -> None:
    erase(filled, plan_for(filled, VICTIM))
    assert [row["item_id"] for row in ask("FROM items ORDER BY item_id")] == sorted([OTHER, PICTURE_ID])
    assert [row["request_key"] for row in ask("FROM requests")] == []
    assert Journal(filled.folder).keys() == {"innocent"}
    details = {row["locator"]: row["detail"] for row in ask("FROM rejects")}
    assert details == {"broken.jsonl#3": "", "fine.jsonl#1": "no JSON near 'something else'"}
    assert read_manifest(filled.folder).figures == {"items:text": 1, "items:image": 1}
    assert [row["item_id"] for row in ask("FROM annotations")] == [OTHER]
    assert [row["vector"] for row in ask("FROM embeddings")] == [[0.25]]


def test_what_is_published_is_the_ledger(filled: Store) -> None:
    erase(filled, plan_for(filled, VICTIM))
    with filled.reader() as reader, open_ledger(filled.folder, timeout=0) as ledger:
        ledger.execute("SET TimeZone = 'UTC'")
        for entry in TABLES:
            columns = ", ".join(f'"{name}"' for name in entry.schema.names)
            expected = read_rows(ledger, f'SELECT {columns} FROM "{entry.name}" ORDER BY rowid')
            assert reader.query(f'FROM "{entry.name}"').to_pylist() == expected.to_pylist()
            assert reader.manifest.rows(entry.name) == len(expected)


def test_ids_stay_where_they_tell_what_holds_it(filled: Store, ask: Ask) -> None:
    erase(filled, plan_for(filled, VICTIM))
    for entry in TABLES:
        if "item_id" in entry.names:
            found = ask(f'SELECT * FROM "{entry.name}" WHERE item_id = ?', [VICTIM])
            assert bool(found) == (entry.name in (*KEPT_TABLES, "decisions")), entry.name
    [commit] = ask('SELECT step, "rows" FROM commits ORDER BY commit_number DESC LIMIT 1')
    assert commit["step"] == "erase"
    assert json.loads(commit["rows"])["items"] == -1


def test_what_else_holds_it_is_told(filled: Store) -> None:
    with filled.reader() as reader:
        traces = find_traces(reader, Journal(filled.folder), [VICTIM])
    assert traces.requests == ("drained", "waiting")
    assert traces.origins == [{"source": "web", "locator": f"{VICTIM[:8]}.txt"}]
    assert [(row["snapshot"], row["number"]) for row in traces.snapshots] == [("set", 1)]
    assert [(row["learner"], row["checkpoint"]) for row in traces.checkpoints] == [("x", "x")]
    assert traces.relatives == [{"item_id": OTHER, "relation": "a duplicate of it"}]


def test_it_is_explained(filled: Store) -> None:
    erase(filled, plan_for(filled, VICTIM))
    with filled.reader() as reader, pytest.raises(BadDataError, match="was erased in commit 8: asked for"):
        explain(reader, VICTIM[:10])


class TestItStaysOut:
    """A later arrival of the same content, and work that was under way."""

    @pytest.fixture
    def erased(self, filled: Store) -> Store:
        erase(filled, plan_for(filled, VICTIM))
        return filled

    def test_an_arrival_is_refused(self, erased: Store, make: Any) -> None:
        records = make.items([VICTIM, "new"]).append_column("locator", pa.array(["a", "b"]))
        with erased.reader() as reader:
            kept, refused = refuse_erased(reader, records)
        assert kept["item_id"].to_pylist() == ["new"]
        assert refused.select(["locator", "reason"]).to_pylist() == [{"locator": "a", "reason": "erased"}]

    def test_nothing_is_refused_where_nothing_was_erased(self, store: Store, make: Any) -> None:
        records = make.items(["new"]).append_column("locator", pa.array(["b"]))
        with store.reader() as reader:
            kept, refused = refuse_erased(reader, records)
        assert (len(kept), len(refused)) == (1, 0)

    def test_a_batch_that_was_prepared_before_brings_nothing_back(self, erased: Store, make: Any, ask: Ask) -> None:
        write = Write(
            "ingest",
            {"items": make.items([VICTIM, "new"]), "annotations": make.claims([VICTIM], "prose")},
            [CursorMove("ingest/web", "a", "", "1")],
        )
        commit = erased.commit(write)
        assert commit.added == {"items": 1, "cursors": 1}
        assert ask("SELECT item_id FROM items WHERE item_id = ?", [VICTIM]) == []

    def test_answers_of_a_batch_that_was_prepared_before_are_not_kept(self, erased: Store, make: Any, ask: Ask) -> None:
        journal = Journal(erased.folder)
        journal.put("late", request(TEXT), Response({"choices": []}))
        claims = make.claims([VICTIM, OTHER], "prose", annotator="model")
        erased.commit(Write("annotate", {"annotations": claims, "requests": journal.drained(["late"])}))
        assert ask("SELECT item_id FROM annotations WHERE annotator = 'model'") == [{"item_id": OTHER}]
        assert ask("FROM requests") == []

    def test_a_snapshot_that_was_drafted_before_is_void(self, erased: Store) -> None:
        held = {"snapshot": "set", "number": 2, "item_id": VICTIM, "label": None, "split": "train", "score": None}
        assert erased.commit(Write("snapshot", {"snapshot_items": rows("snapshot_items", held, 1)})).stale


KILLED_AT = """
    import json, os, signal, sys
    from pathlib import Path
    from curate.store.care import erasure
    from curate.store.care.traces import find_traces
    from curate.store.journal import Journal
    from curate.store.store import Store
    store = Store.open(Path(sys.argv[1]), create=True, command="victim")
    with store.reader() as reader:
        plan = erasure.ErasurePlan.of([sys.argv[3]], find_traces(reader, Journal(store.folder), [sys.argv[3]]), "r")
    setattr(erasure, sys.argv[2], lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL))
    erasure.erase(store, plan)
"""


@pytest.fixture(scope="module")
def erased_undisturbed(filled_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store from which the victim was erased by a process that nobody killed."""
    folder = Path(shutil.copytree(filled_once, tmp_path_factory.mktemp("undisturbed") / "store"))
    undisturbed = Store.open(folder, create=True)
    erase(undisturbed, ErasurePlan(**{**_parts(plan_for(undisturbed, VICTIM)), "reason": "r"}))
    return folder


@pytest.mark.parametrize(
    "place",
    [
        "_erase_rows",
        "_rewrite_segments",
        "rewrite_ledger",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("publish", "swap_manifest", "_remove_leftovers", "Journal")
        ),
    ],
)
def test_a_kill_on_the_way_is_made_good(filled: Store, erased_undisturbed: Path, spawn: Spawn, place: str) -> None:
    assert spawn(KILLED_AT, filled.folder, place, VICTIM).wait() == -signal.SIGKILL
    assert (filled.folder / PLAN_FILE).exists()
    assert MARKER not in (filled.folder / PLAN_FILE).read_text()
    Store.open(filled.folder, create=True)
    assert holders(filled.folder, MARKER[:15].encode()) == set()
    with filled.reader() as one, Reader(erased_undisturbed) as other:
        assert differences(one, other) == []


def _parts(plan: ErasurePlan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in ErasurePlan.__dataclass_fields__}


def test_a_reader_of_an_older_commit_hears_what_happened(filled: Store) -> None:
    with filled.reader() as reader:
        erase(filled, plan_for(filled, VICTIM))
        with pytest.raises(StoreError, match="items were erased") as caught:
            reader.query("SELECT text FROM items")
        assert caught.value.hint == "run the command again"


def test_erasing_twice_changes_nothing_more(filled: Store, ask: Ask) -> None:
    erase(filled, plan_for(filled, VICTIM))
    commits = len(ask("FROM commits"))
    assert erase(filled, ErasurePlan((VICTIM,), "again")) == {}
    assert len(ask("FROM commits")) == commits
    erase(filled, plan_for(filled, PICTURE_ID))
    assert holders(filled.folder, MARKER[:15].encode(), PICTURE[:64]) == set()


def test_a_ledger_that_was_set_aside_goes_too(filled: Store) -> None:
    aside = filled.folder / f"{LEDGER_FILE}.damaged-1"
    aside.write_bytes((filled.folder / LEDGER_FILE).read_bytes())
    erase(filled, plan_for(filled, VICTIM))
    assert not aside.exists()


def test_a_plan_that_cannot_be_read_is_refused(filled: Store) -> None:
    (filled.folder / PLAN_FILE).write_text("{")
    with pytest.raises(StoreError, match=r"erasure\.json") as caught:
        Store.open(filled.folder, create=True)
    assert "delete" in caught.value.hint


class TestWhere:
    """Items by an SQL condition."""

    def test_columns_of_items_and_origins_can_be_asked(self, filled: Store) -> None:
        with filled.reader() as reader:
            assert items_where(reader, "source = 'web' AND entity LIKE 'web:%'") == [VICTIM]
            assert items_where(reader, "modality = 'image' -- all of them") == [PICTURE_ID]
            assert items_where(reader, "false") == []

    @pytest.mark.parametrize("condition", ["nonsense", "", "true; DELETE FROM items"])
    def test_anything_else_is_refused(self, filled: Store, condition: str) -> None:
        with filled.reader() as reader, pytest.raises(UsageError):
            items_where(reader, condition)


@pytest.mark.parametrize(
    ("shown", "needle", "found"),
    [
        (f"Text: {TEXT}\nTopic:", TEXT, True),
        (f"Text: {TEXT[:60]}…\nTopic:", TEXT, True),
        (TEXT[:250], TEXT, True),
        (TEXT[:60], TEXT, False),
        (TEXT[:60] + " but another end", TEXT, False),
        (TEXT[:60] + " but another end, then " + TEXT[:70] + "…", TEXT, True),
        ("Text: yes\nTopic:", "yes", True),
        ("yes", "yes", True),
        ("Say yes or no", "yes", False),
        ("eyes\nyes", "yes", True),
        ("", "yes", False),
    ],
)
def test_a_request_shows_a_text_or_not(shown: str, needle: str, found: bool) -> None:
    assert shows({"messages": [{"content": "instructions"}, {"content": shown, "n": 1}]}, needle) is found


def test_texts_of_other_scripts_are_found_in_requests(store: Store, add: Add, make: Any) -> None:
    text = 'Привет ☃ "quoted" 😀, it goes on long enough to be a needle'
    journal = Journal(store.folder)
    journal.put("k", request(text), Response({}))
    add(items=make.items([text_id(text)], text=[text]), requests=journal.drained(["k"]))
    journal.forget(["k"])
    with store.reader() as reader:
        assert find_traces(reader, Journal(store.folder), [text_id(text)]).requests == ("k",)


def test_nothing_is_a_trace_of_nothing(store: Store) -> None:
    with store.reader() as reader:
        assert find_traces(reader, Journal(store.folder), []) == Traces()
