"""The verbs over a store on DuckLake: those that look, clean and move, and those that say what they cannot do."""

import shutil

import pytest

pytestmark = pytest.mark.timeout(400)
TOML = """
[[source]]
name = "inbox"
path = "inbox"

[[snapshot]]
name = "texts"
"""


@pytest.fixture(scope="module")
def frozen_once(tmp_path_factory, call_once):
    """A project with an embedded store of thirty texts and a snapshot, to be copied."""
    folder = tmp_path_factory.mktemp("frozen") / "project"
    (folder / "inbox").mkdir(parents=True)
    for number in range(30):
        (folder / "inbox" / f"{number:02d}.txt").write_text(f"A text of number {number}")
    (folder / "curate.toml").write_text(TOML)
    for verb in ("ingest", "snapshot"):
        call_once(verb, "--project", folder)
    return folder


@pytest.fixture
def project(frozen_once, tmp_path, monkeypatch):
    """A copy of that project; it is the working folder."""
    folder = shutil.copytree(frozen_once, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def lake(project, make_lake, call, monkeypatch):
    """The store copied to a lake, which is the project's store from then on."""
    address = str(make_lake())
    planned = call("store", "copy", "curate-store", address, "--dry-run", "--json")
    assert planned.objects[0]["items"] == 30
    assert "nothing was written" in planned.err
    copied = call("store", "copy", "curate-store", address, "--json")
    assert copied.objects == planned.objects
    assert f'store = "{address}"' in copied.err
    monkeypatch.setenv("CURATE_STORE", address)
    return address


def test_the_verbs_over_a_lake(lake, call, project, postgres, monkeypatch):
    [status] = call("status", "--json").objects
    assert (status["store"], status["holder"]) == (lake, None)
    assert status["tables"]["items"] == status["figures"]["items:text"] == 30
    assert f"store   {lake}" in call("status").out
    assert call("sql", "SELECT count(*) AS n FROM snapshot_items", "--json").objects == [{"n": 30}]
    item = call("sql", "SELECT item_id FROM items LIMIT 1", "--json").objects[0]["item_id"]
    [why] = call("why", item[:12], "--json").objects
    assert why["item"]["item_id"] == item
    assert [row["number"] for row in call("snapshot", "list", "--json").objects] == [1]
    assert call("ingest").code == call("snapshot").code == 0
    assert [row["number"] for row in call("snapshot", "list", "--json").objects] == [1]
    (project / "inbox" / "new.txt").write_text("One more text")
    assert call("ingest").code == 0
    assert call("sql", "SELECT max(commit_number) AS n FROM items", "--json").objects == [
        {"n": status["commit_number"] + 1}
    ]

    assert call("gc", "--dry-run").code == 0
    assert call("gc").code == 0
    doctor = call("doctor", "--json")
    assert doctor.code == 0, doctor.out
    states = {row["what"]: row["state"] for row in doctor.objects}
    assert {states[what] for what in ("store", "files", "commits", "keys", "items", "snapshots")} == {"ok"}
    back = call("store", "copy", lake, "back", "--json")
    assert back.objects[0]["items"] == 31
    assert call("sql", "SELECT count(*) AS n FROM items", "--store", "back", "--json").objects == [{"n": 31}]
    for result in (doctor, back, call("config"), call("status", "--debug")):
        assert postgres.password not in result.out + result.err


def test_what_a_lake_cannot_do_is_said(lake, call, tmp_path):
    for options in (("--restore", tmp_path), ("--rebuild",)):
        refused = call("backup", *options)
        assert refused.code == 3
        assert f"error: curate backup {options[0]} is for the embedded store only" in refused.err
        assert "next: c" in refused.err
    taken = call("store", "copy", "curate-store", lake)
    assert taken.code == 2
    assert "is there already" in taken.err
    asked = call("sql", "FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')")
    assert asked.code == 2
    assert "reads the store's tables only" in asked.err


def test_a_backup_and_an_erasure(lake, call):
    assert set(call("backup", "../saved", "--dry-run", "--json").objects[0]) == {"folder", "commit_number", "rows"}
    [saved] = call("backup", "../saved", "--json").objects
    [status] = call("status", "--json").objects
    assert (saved["commit_number"], saved["rows"]) == (status["commit_number"], sum(status["tables"].values()))
    assert call("backup", "../saved").code == 2
    assert call("sql", "SELECT count(*) AS n FROM items", "--store", "../saved", "--json").objects == [{"n": 30}]

    assert call("export").code == 0
    planned = call("erase", "--where", "text LIKE '%number 7'", "--dry-run", "--json")
    [item] = planned.objects[0]["items"]
    done = call("erase", item[:12], "--reason", "asked for", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.objects[0]["lost"] == {"items": 1, "origins": 1}
    assert done.objects[0]["still"]["files"] == planned.objects[0]["still"]["files"] != []
    assert [row["snapshot"] for row in done.objects[0]["still"]["snapshots"]] == ["texts"]
    assert "journals of other machines" in done.err
    why = call("why", item[:12])
    assert why.code == 4
    assert "was erased" in why.err
    assert call("doctor").code == 0
    assert call("ingest", "inbox").code == 0  # where the file still lies
    assert call("sql", "SELECT count(*) AS n FROM items", "--json").objects == [{"n": 29}]


def test_a_catalog_that_does_not_answer(project, call):
    address = "ducklake:postgres:dbname=x host=127.0.0.1 port=1"
    pytest.importorskip("duckdb_extension_ducklake", reason="the packages of curate[lake] are not installed")
    asked = call("status", "--store", address)
    assert asked.code == 7
    assert "PostgreSQL does not answer" in asked.err
    assert call("doctor", "--store", address).code == 4


def test_a_password_in_the_address_is_refused(project, call):
    asked = call("status", "--store", "ducklake:postgres:dbname=x password=hunter2")
    assert asked.code == 3
    assert "PGPASSWORD" in asked.err
    assert "hunter2" not in asked.out + asked.err
