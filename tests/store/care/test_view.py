"""`curate.open`, and reading what is published without us: the guide's own code, run as it stands."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import curate
from curate.errors import BadDataError, ConfigurationError, UnknownNameError, UsageError
from curate.store.care.erasure import ErasurePlan, erase
from curate.store.store import Store
from curate.store.view import StoreView

PROSE = "36110a67a490b26eddecc79d50b01a99184c7c8d0c2c8b467d407e72e18d9147"


@pytest.fixture
def view(full_store: Path) -> Iterator[StoreView]:
    with curate.open(full_store) as opened:
        yield opened


def test_it_says_what_it_shows(view: StoreView) -> None:
    assert (view.commit_number, view.committed_at) == (3, "2026-11-23T01:02:03+00:00")
    assert (view.tables["items"], view.tables["tombstones"]) == (4, 0)


def test_tables_come_as_arrow(view: StoreView) -> None:
    assert view.table("items").read_all().num_rows == 4
    assert view.table("origins", ["locator"]).read_all()["locator"].to_pylist() == [
        "a.txt",
        "b.txt",
        "c.png",
        "d.jsonl#1",
    ]


@pytest.mark.parametrize(("name", "columns"), [("item", ()), ("items", ("texts",)), ('items" --', ())])
def test_unknown_names_are_refused(view: StoreView, name: str, columns: tuple[str, ...]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        view.table(name, columns)
    assert "items" in caught.value.message


def test_questions_take_parameters(view: StoreView) -> None:
    assert view.query("SELECT locator FROM origins WHERE item_id = ?", [PROSE]).read_all().to_pylist() == [
        {"locator": "a.txt"}
    ]
    with pytest.raises(UsageError):
        view.query("DELETE FROM items")
    with pytest.raises(UsageError):
        view.query("FROM read_text('/etc/passwd')").read_all()


def test_several_answers_can_be_read_at_once(view: StoreView) -> None:
    one, other = view.query("SELECT * FROM range(50_000)"), view.query("SELECT * FROM range(60_000)")
    first = one.read_next_batch().num_rows
    assert view.why(PROSE)["verdict"] == "in: held by snapshot set 1"
    assert other.read_all().num_rows == 60_000
    assert first + one.read_all().num_rows == 50_000


def test_times_are_in_utc(view: StoreView) -> None:
    [row] = view.query("SELECT started_at, started_at::VARCHAR AS text FROM runs").read_all().to_pylist()
    assert row["text"] == "2026-11-23 01:02:03.456789+00"
    assert view.query("SELECT started_at FROM runs").schema.types == [pa.timestamp("us", tz="UTC")]


def test_snapshots(view: StoreView) -> None:
    [listed] = view.snapshots().to_pylist()
    assert (listed["snapshot"], listed["number"], listed["size"]) == ("set", 1, 1)
    [row] = view.snapshot("set").read_all().to_pylist()
    assert (row["item_id"], row["label"], row["split"], row["text"][:7]) == (PROSE, "prose", "train", "The fox")
    assert view.snapshot("set", 1, ["test"]).read_all().num_rows == 0
    with pytest.raises(UnknownNameError, match="set"):
        view.snapshot("sets")
    with pytest.raises(UsageError):
        view.snapshot("set", 2)


def test_an_erased_item_is_not_shown(full_store: Path) -> None:
    erase(Store.open(full_store, create=True), ErasurePlan((PROSE,), "asked for"))
    with curate.open(full_store) as view:
        assert view.snapshot("set").read_all().num_rows == 0
        with pytest.raises(BadDataError, match="erased"):
            view.why(PROSE)


def test_what_is_no_store_is_refused(tmp_path: Path, full_store: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing is published"):
        curate.open(tmp_path / "none")
    full_store.rename(tmp_path / "curate-store")
    with pytest.raises(ConfigurationError) as caught:
        curate.open(str(tmp_path))
    assert "curate-store" in caught.value.hint


def test_importing_curate_stays_light() -> None:
    code = "import sys; before = set(sys.modules); import curate; print(*sorted(set(sys.modules) - before))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"duckdb", "pyarrow", "numpy", "click", "pydantic"} & set(ended.stdout.split())


def blocks() -> list[str]:
    guide = Path(__file__).parents[3] / "docs" / "store.md"
    return re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)


def run(code: str, folder: Path) -> str:
    """Run the guide's code in a process of its own, and return what it prints."""
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_guides_code_runs(full_store: Path, tmp_path: Path) -> None:
    full_store.rename(tmp_path / "curate-store")
    assert "4" in run(blocks()[0], tmp_path)


@pytest.mark.parametrize("library", ["duckdb", "polars", "pandas", "pyarrow.dataset"])
def test_without_us_every_library_reads_the_same(library: str, full_store: Path, tmp_path: Path) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed here (pip install 'curate[test]')")
    full_store.rename(tmp_path / "curate-store")
    files, *readings = blocks()[1:]
    [reading] = [code for code in readings if f"import {library}\n" in code]
    assert "import curate" not in files + reading
    with curate.open(tmp_path / "curate-store") as view:
        query = "SELECT modality, count(*) AS items FROM items GROUP BY modality"
        counts = {row["modality"]: row["items"] for row in view.query(query).read_all().to_pylist()}
    printed = re.findall(r"\w+", run(files + reading, tmp_path))
    if library == "pyarrow.dataset":
        assert printed == [str(sum(counts.values()))]
    else:
        assert {name: int(printed[printed.index(name) + 1]) for name in counts} == counts
