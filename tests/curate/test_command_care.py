"""`gc`, `backup`, `erase` and what `doctor` says of a store, over a project that has been walked."""

import os
import shutil
from io import StringIO
from pathlib import Path

import pytest

from curate.store.lease import hold_lease

LETTER = "A letter by Johanna Planted, Marker Lane 5, to be erased again.\n" + "She writes on. " * 30


@pytest.fixture(scope="module")
def walked(tmp_path_factory, module_call):
    """A project with texts of which one is a person's, walked once."""
    folder = tmp_path_factory.mktemp("walked") / "project"
    (folder / "inbox").mkdir(parents=True)
    for number in range(40):
        (folder / "inbox" / f"{number:02d}.txt").write_text(f"An innocent text, number {number}, of no importance.")
    (folder / "inbox" / "letter.txt").write_text(LETTER)
    (folder / "inbox" / "copy.txt").write_text(LETTER.upper())
    (folder / "curate.toml").write_text(
        '[[source]]\nname = "inbox"\npath = "inbox"\n\n[[snapshot]]\nname = "texts"\n\n[report]\npath = "report.html"\n'
    )
    assert module_call(folder, "run").code == 0
    return folder


@pytest.fixture(scope="module")
def module_call():
    """Call the command in a process of its own, for fixtures of a module."""
    import subprocess
    import sys
    from types import SimpleNamespace

    def run(folder, *arguments):
        ended = subprocess.run(
            [sys.executable, "-m", "curate", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        return SimpleNamespace(code=ended.returncode, out=ended.stdout, err=ended.stderr)

    return run


@pytest.fixture
def project(walked, tmp_path, monkeypatch):
    """A copy of the walked project; it is the working folder."""
    shutil.copytree(walked, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def letter(call, project):
    """The id of the letter's item."""
    [found] = call("sql", "SELECT item_id FROM items WHERE starts_with(text, 'A letter')", "--json").objects
    return found["item_id"]


class TestGarbage:
    def test_a_plan_and_then_the_deed(self, call, project):
        orphan = project / "curate-store" / "published" / "items-000000009-000000009.parquet"
        orphan.write_bytes(b"left by a kill")
        plan = call("gc", "--dry-run", "--json")
        assert plan.code == 0
        assert "nothing was changed" in plan.err
        assert {entry["name"] for entry in plan.objects if entry["kind"] == "segment"} == {orphan.name}
        assert orphan.exists()
        done = call("gc")
        assert done.code == 0
        assert orphan.name in done.out
        assert not orphan.exists()
        assert call("gc", "--json").objects == []
        assert call("run").code == 0

    def test_leftovers_of_exports_go(self, call, project):
        left = project / "exports" / ".texts-00001.17.partial"
        left.mkdir()
        os.utime(left, (1_000_000_000, 1_000_000_000))
        assert left.name in call("gc").out
        assert not left.exists()

    def test_a_held_store_is_exit_code_5(self, call, project, monkeypatch):
        monkeypatch.setenv("CURATE_LEASE_TIMEOUT", "0.0")
        with hold_lease(project / "curate-store", timeout=0, command="curate annotate"):
            assert call("gc").code == 5

    def test_there_must_be_a_store(self, call, tmp_path):
        assert call("gc", "--store", tmp_path / "none").code == 3


class TestBackup:
    def test_there_and_back(self, call, project, tmp_path):
        planned = call("backup", tmp_path / "saved", "--dry-run", "--json").objects[0]
        assert not (tmp_path / "saved").exists()
        made = call("backup", tmp_path / "saved", "--json")
        assert made.code == 0
        assert made.objects[0]["rows"] == planned["rows"]
        ledger = project / "curate-store" / "ledger.duckdb"
        ledger.write_bytes(b"\xff" * 10_000)
        (project / "inbox" / "more.txt").write_text("one more note")
        failed = call("ingest")
        assert failed.code == 4
        assert "curate backup --restore" in failed.err
        assert call("doctor").code == 4
        restored = call("backup", "--restore", tmp_path / "saved")
        assert restored.code == 0
        assert "curate-store.replaced-1" in restored.err
        assert call("doctor").code == 0
        assert call("run").code == 0

    def test_a_backup_is_a_store(self, call, project, tmp_path):
        assert call("backup", tmp_path / "saved").code == 0
        rows = call("sql", "SELECT count(*) AS n FROM items", "--store", tmp_path / "saved", "--json").objects
        assert rows == [{"n": 42}]

    def test_a_ledger_is_rebuilt(self, call, project):
        ledger = project / "curate-store" / "ledger.duckdb"
        ledger.write_bytes(b"\xff" * 10_000)
        assert call("backup", "--rebuild", "--dry-run").code == 0
        assert call("doctor").code == 4
        done = call("backup", "--rebuild")
        assert done.code == 0
        assert "ledger.duckdb.damaged-1" in done.err
        assert call("doctor", "--all").code == 0

    @pytest.mark.parametrize("arguments", [[], ["one", "--rebuild"], ["--rebuild", "--restore", "."]])
    def test_one_of_three_is_asked_for(self, call, project, arguments):
        assert call("backup", *arguments).code == 2

    def test_a_hung_writer_holds_no_backup_up(self, call, project, tmp_path, monkeypatch):
        monkeypatch.setenv("CURATE_LEASE_TIMEOUT", "0.1")
        with hold_lease(project / "curate-store", timeout=0, command="curate annotate"):
            made = call("backup", tmp_path / "saved")
        assert made.code == 0
        assert "(curate annotate)" in made.err
        assert call("backup", "--restore", tmp_path / "saved").code == 0

    def test_no_backup_is_not_restored(self, call, project):
        assert call("backup", "--restore", project / "inbox").code == 4

    def test_what_was_erased_since_stays_erased(self, call, project, tmp_path, letter):
        assert call("backup", tmp_path / "saved").code == 0
        assert call("erase", letter, "--yes", "--reason", "asked for by Johanna").code == 0
        restored = call("backup", "--restore", tmp_path / "saved")
        assert "1 items that had been erased since the backup were erased again" in restored.err
        answer = call("why", letter)
        assert answer.code == 4
        assert "asked for by Johanna" in answer.err


class TestErase:
    def test_a_plan_shows_what_else_holds_it(self, call, project, letter):
        plan = call("erase", letter[:12], "--dry-run", "--json")
        assert plan.code == 0
        [found] = plan.objects
        assert found["items"] == [letter]
        assert found["still"]["origins"] == [{"source": "inbox", "locator": "letter.txt"}]
        assert [row["snapshot"] for row in found["still"]["snapshots"]] in (["texts"], [])
        assert len(found["still"]["relatives"]) == 1
        assert call("why", letter).code == 0

    def test_it_is_gone_and_stays_out(self, call, project, letter):
        done = call("erase", letter, "--yes")
        assert done.code == 0, done.err
        assert "letter.txt" in done.out
        assert call("doctor", "--all").code == 0
        assert b"Johanna" not in (project / "curate-store" / "ledger.duckdb").read_bytes()
        (project / "inbox" / "again.txt").write_text(LETTER)
        assert call("ingest").code == 4
        [reject] = call("sql", "SELECT locator, reason FROM rejects", "--json").objects
        assert reject == {"locator": "again.txt", "reason": "erased"}
        assert call("why", letter).code == 4

    def test_its_duplicate_is_judged_anew(self, call, project):
        """The kept one of two duplicates is erased: the other must not stay out because of it."""
        [row] = call("sql", "SELECT item_id, duplicate_of FROM duplicates", "--json").objects
        assert call("erase", row["duplicate_of"], "--yes").code == 0
        assert call("run").code == 0
        dropped = call("sql", "SELECT item_id FROM dropped SEMI JOIN items USING (item_id)", "--json").objects
        assert dropped == []

    def test_where(self, call, project):
        done = call("erase", "--where", "locator LIKE '%etter%' OR locator = 'copy.txt'", "--yes", "--json")
        assert done.code == 0, done.err
        assert done.objects[0]["lost"]["items"] == 2
        assert call("erase", "--where", "nonsense", "--yes").code == 2

    def test_the_condition_is_kept_nowhere(self, call, project, module_call):
        """The record of runs holds commands, and this one may name the person."""
        assert module_call(project, "erase", "--where", "text ILIKE '%johanna planted%'", "--yes").code == 0
        [run] = call("sql", "SELECT command FROM runs ORDER BY started_at DESC LIMIT 1", "--json").objects
        assert run == {"command": "curate erase"}
        for file in (project / "curate-store").rglob("*"):
            assert file.is_dir() or b"johanna" not in file.read_bytes().lower(), file

    def test_exports_that_hold_it_are_named(self, call, project):
        [row] = call("sql", "SELECT item_id FROM snapshot_items ORDER BY item_id LIMIT 1", "--json").objects
        [found] = call("erase", row["item_id"], "--dry-run", "--json").objects
        assert any(Path(entry["path"]).suffix == ".parquet" for entry in found["still"]["files"])

    def test_the_end_of_what_is_typed_is_no_answer(self, call, project, letter, monkeypatch):
        monkeypatch.setattr("curate.cli.care.is_terminal", lambda stream: True)
        monkeypatch.setattr("sys.stdin", StringIO())
        refused = call("erase", letter)
        assert refused.code == 2
        assert "error: not confirmed\nunchanged: nothing was erased" in refused.err
        assert call("why", letter).code == 0

    def test_off_a_terminal_it_must_be_confirmed(self, call, project, letter):
        refused = call("erase", letter)
        assert refused.code == 2
        assert "--yes" in refused.err
        assert call("why", letter).code == 0

    def test_something_must_be_named(self, call, project):
        assert call("erase").code == 2
        assert call("erase", "zzzz", "--yes").code == 4

    def test_nothing_fits(self, call, project):
        done = call("erase", "--where", "false", "--yes", "--json")
        assert done.code == 0
        assert done.objects[0]["items"] == []


def test_doctor_checks_the_store(call, project):
    found = {entry["what"]: entry for entry in call("doctor", "--json").objects}
    for what in (
        "segments",
        "items",
        "keys",
        "orphans",
        "commits",
        "snapshots",
        "checkpoints",
        "erased items",
        "ledger",
    ):
        assert found[what]["state"] == "ok", found[what]
    path = next((project / "curate-store" / "published").glob("snapshot_items-*.parquet"))
    path.write_bytes(path.read_bytes()[:-30])
    broken = call("doctor")
    assert broken.code == 4
    assert "broken: " in broken.err
