"""A folder that grows: old shards stay, the newest number loads, and what went is named."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from curate.errors import BadDataError
from curate.store.exports import check, pieces
from curate.store.exports.check import check_export
from curate.store.exports.manifest import ExportManifest, read_export_manifest
from curate.store.segments import read_columns
from curate.store.snapshots import SnapshotSpec

Add = Callable[..., int]
Export = Callable[..., Path]
ContentOf = Callable[[Path], dict[str, bytes]]
SPEC = SnapshotSpec("texts", "text", label="topic", splits={"train": 0.8, "test": 0.2})


def load(folder: Path, cache: Path) -> dict[str, tuple[str, str]]:
    """Item id → split and label name, as `datasets` finds them."""
    loaded = datasets.load_dataset(str(folder), cache_dir=str(cache))
    return {
        row["item_id"]: (split, rows.features["label"].int2str(row["label"]))
        for split, rows in loaded.items()
        for row in rows
    }


def manifest_of(folder: Path) -> ExportManifest:
    manifest = read_export_manifest(folder)
    assert manifest is not None
    return manifest


def shards(content: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in content.items() if path.startswith("data/")}


@pytest.fixture
def ids(add: Add, make: Any) -> list[str]:
    found = list(make.ids(*range(40)))
    add(items=make.items(found), origins=make.origins(found), annotations=make.claims(found, list("ab") * 20))
    return found


def test_new_items_are_new_shards(
    ids: list[str], add: Add, make: Any, export: Export, content_of: ContentOf, tmp_path: Path
) -> None:
    folder = export(SPEC, tmp_path / "exports")
    first = content_of(folder)
    more = make.ids(*range(40, 60))
    add(items=make.items(more), origins=make.origins(more), annotations=make.claims(more, list("ca") * 10))
    assert export(SPEC, tmp_path / "exports", check=check_export) == folder
    second = content_of(folder)
    assert shards(first).items() < shards(second).items()
    assert sorted(shards(second).keys() - shards(first).keys()) == [
        "data/test-00000-of-00001-number-00002.parquet",
        "data/train-00000-of-00001-number-00002.parquet",
    ]
    found = load(folder, tmp_path / "cache")
    assert set(found) == {*ids, *more}
    assert {found[item][1] for item in more} == {"a", "c"}
    assert [found[item][1] for item in ids] == list("ab") * 20
    assert manifest_of(folder).class_names == ("a", "b", "c")
    assert "removed.jsonl" not in second


def test_only_the_content_of_what_is_new_is_read(
    ids: list[str], add: Add, make: Any, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(SPEC, tmp_path / "exports")
    more = make.ids(*range(40, 45))
    add(items=make.items(more), origins=make.origins(more), annotations=make.claims(more, "a"))
    read: list[int] = []

    def counted(path: Path, columns: Any, *arguments: Any, **named: Any) -> Iterator[tuple[int, pa.RecordBatch]]:
        for first, batch in read_columns(path, columns, *arguments, **named):
            read.append(len(batch) if "text" in columns else 0)
            yield first, batch

    monkeypatch.setattr(pieces, "read_columns", counted)
    folder = export(SPEC, tmp_path / "exports", check=check_export)
    assert sum(read) == 5
    assert sum(shard.rows for shard in manifest_of(folder).shards if shard.number == 2) == 5


def test_what_went_is_named_and_not_loaded(
    ids: list[str], add: Add, make: Any, export: Export, content_of: ContentOf, tmp_path: Path
) -> None:
    folder = export(SPEC, tmp_path / "exports")
    first = content_of(folder)
    in_test = pq.read_table(folder / "data" / "test-00000-of-00001.parquet")["item_id"].to_pylist()
    add(decisions=make.decisions(in_test[:1], "drop"))
    export(SPEC, tmp_path / "exports", check=check_export)
    second = content_of(folder)
    assert shards(first).items() < shards(second).items()
    assert set(load(folder, tmp_path / "cache")) == {*ids} - {in_test[0]}
    manifest = manifest_of(folder)
    assert manifest.newest.shards == ("train-00000-of-00001", "test-00000-of-00001-number-00002")
    assert [number.removed for number in manifest.numbers] == [0, 1]
    assert second["removed.jsonl"] == json.dumps({"item_id": in_test[0], "number": 2}).encode() + b"\n"

    add(decisions=make.decisions(ids[:1] if ids[0] != in_test[0] else ids[1:2], "drop"))
    export(SPEC, tmp_path / "exports", check=check_export)
    assert [json.loads(line)["number"] for line in content_of(folder)["removed.jsonl"].splitlines()] == [2, 3]


def test_a_changed_label_is_written_anew(
    ids: list[str], add: Add, make: Any, export: Export, content_of: ContentOf, tmp_path: Path
) -> None:
    folder = export(SPEC, tmp_path / "exports")
    first = content_of(folder)
    add(annotations=make.claims(ids[:1], "b", annotator="eva", kind="human"))
    export(SPEC, tmp_path / "exports", check=check_export)
    assert shards(first).items() < shards(content_of(folder)).items()
    found = load(folder, tmp_path / "cache")
    assert found[ids[0]][1] == "b"
    assert len(found) == 40
    assert not (folder / "removed.jsonl").exists()


def test_codes_of_old_shards_keep_their_meaning(
    ids: list[str], add: Add, make: Any, export: Export, tmp_path: Path
) -> None:
    folder = export(SPEC, tmp_path / "exports")
    more = make.ids(*range(40, 50))
    add(items=make.items(more), annotations=make.claims(more, "A"))
    export(SPEC, tmp_path / "exports", declared=("z", "b"), check=check_export)
    assert manifest_of(folder).class_names == ("a", "b", "z", "A")
    assert [load(folder, tmp_path / "cache")[item][1] for item in ids] == list("ab") * 20


def test_other_columns_begin_anew_beside_the_old_shards(
    ids: list[str], export: Export, content_of: ContentOf, tmp_path: Path
) -> None:
    folder = export(SPEC, tmp_path / "exports")
    first = content_of(folder)
    export(SnapshotSpec("texts", "text", splits=SPEC.splits), tmp_path / "exports", check=check_export)
    assert shards(first).items() < shards(content_of(folder)).items()
    assert all(shard.number == 2 for shard in manifest_of(folder).listed)


def test_the_same_numbers_give_the_same_bytes(
    ids: list[str], add: Add, make: Any, freeze: Any, export: Export, content_of: ContentOf, tmp_path: Path
) -> None:
    frozen = [freeze(SPEC)]
    add(decisions=make.decisions(ids[:1], "drop"))
    frozen.append(freeze(SPEC))
    early = export(SPEC, tmp_path / "early", frozen[0], formats=("jsonl", "label-studio"))
    later_claims = make.claims(ids, "b", annotator="later")
    add(annotations=later_claims, origins=make.origins(ids, "later", licence="later"))
    late = export(SPEC, tmp_path / "late", frozen[0], formats=("jsonl", "label-studio"))
    assert content_of(early) == content_of(late)
    for folder in (tmp_path / "early", tmp_path / "late"):
        export(SPEC, folder, frozen[1], formats=("jsonl", "label-studio"))
    assert content_of(early) == content_of(late)


def test_an_export_that_does_not_load_back_leaves_nothing(
    ids: list[str], add: Add, make: Any, export: Export, content_of: ContentOf, tmp_path: Path
) -> None:
    folder = export(SPEC, tmp_path / "exports")
    before = content_of(folder)
    add(decisions=make.decisions(ids[:1], "drop"))

    def damaged(staged: Path, plan: Any, manifest: ExportManifest) -> None:
        path = next(path for path in (staged / "data").iterdir() if "number" in path.name)
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 0xFF
        path.write_bytes(data)
        check_export(staged, plan, manifest)

    with pytest.raises(BadDataError, match="does not load back") as caught:
        export(SPEC, tmp_path / "exports", check=damaged)
    assert caught.value.hint
    assert content_of(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


READERS = {"pyarrow": check._with_pyarrow, "datasets": check._with_datasets}


@pytest.mark.parametrize(
    ("reader", "change"),
    [*(("pyarrow", change) for change in ("label", "row", "item", "type", "head")), ("datasets", "item")],
)
def test_the_check_finds_what_is_wrong(
    ids: list[str], export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, change: str
) -> None:
    monkeypatch.setattr(check, "_with_pyarrow", READERS[reader])

    def altered(staged: Path, plan: Any, manifest: ExportManifest) -> None:
        check_export(staged, plan, manifest)
        monkeypatch.setattr("curate.store.exports.check.shard_file", lambda folder, path: files[path])
        files = {shard.files["parquet"].path: shard.files["parquet"] for shard in manifest.listed}
        path = staged / "data" / "train-00000-of-00001.parquet"
        table = pq.read_table(path)
        if change == "label":
            codes = table["label"].to_pylist()
            table = table.set_column(2, table.schema.field("label"), [[1 - codes[0], *codes[1:]]])
        elif change == "row":
            table = table.slice(1)
        elif change == "item":
            table = table.set_column(0, table.schema.field("item_id"), [["0" * 64, *table["item_id"].to_pylist()[1:]]])
        elif change == "type":
            stripped = table.schema.metadata[b"huggingface"].replace(b"ClassLabel", b"Value")
            table = table.replace_schema_metadata({"huggingface": stripped})
        else:
            text = (staged / "README.md").read_text().replace("'0': \"a\"", "'0': \"x\"")
            (staged / "README.md").write_text(text)
        pq.write_table(table, path)
        check_export(staged, plan, manifest)

    with pytest.raises(BadDataError, match="does not load back"):
        export(SPEC, tmp_path / "exports", check=altered)
    assert list((tmp_path / "exports").iterdir()) == []


def test_erased_items_are_an_error_that_says_so(
    ids: list[str], freeze: Any, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = freeze(SPEC)
    larger = type(frozen)(frozen.snapshot, frozen.number, frozen.content_hash, frozen.spec_hash, frozen.size + 3)
    with pytest.raises(BadDataError, match="3 items that were erased"):
        export(SPEC, tmp_path / "exports", larger)
    assert list((tmp_path / "exports").iterdir()) == []


def rows_listed(folder: Path) -> int:
    """How many rows the files have that the README lists for `datasets`."""
    head = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    paths = [path for split in head["configs"][0]["data_files"] for path in split["path"]]
    return sum(pq.read_metadata(folder / path).num_rows for path in paths)


KILLED = """
import os, signal, sys
from pathlib import Path
from curate.store.exports import write
from curate.store.exports.plan import ExportPlan
from curate.store.reader import Reader
from curate.store.snapshots import latest_snapshot
folder, target, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
count = 0
replace = Path.replace
def counted(self, other):
    global count
    count += 1
    if count > after:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, other)
Path.replace = counted
with Reader(folder) as reader:
    frozen = latest_snapshot(reader, "texts")
    plan = ExportPlan(frozen, "text", ())
    write.export_snapshot(reader, plan, target, check=lambda *_: None)
print(count)
"""


def test_a_killed_export_is_repeated(
    ids: list[str],
    folder: Path,
    add: Add,
    make: Any,
    freeze: Any,
    export: Export,
    content_of: ContentOf,
    tmp_path: Path,
) -> None:
    freeze(SPEC)

    def run(target: str, after: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(folder), str(tmp_path / target), str(after)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = run("whole", 1_000)
    assert whole.returncode == 0, whole.stderr
    for moved in range(int(whole.stdout)):
        assert run(f"first-{moved}", moved).returncode == -9
        assert not (tmp_path / f"first-{moved}" / "texts").exists()
    add(decisions=make.decisions(ids[:1], "drop"))
    freeze(SPEC)
    old = shards(content_of(tmp_path / "whole" / "texts"))
    moves = int(run("moves", 1_000).stdout)
    assert run("whole", moves + 1).returncode == -9
    for moved in range(moves + 2):
        again = run("whole", moved)
        assert rows_listed(tmp_path / "whole" / "texts") in (39, 40)
        assert old.items() <= shards(content_of(tmp_path / "whole" / "texts")).items()
    assert run("whole", 1_000).returncode == 0, again.stderr
    assert len(load(tmp_path / "whole" / "texts", tmp_path / "cache" / "end")) == 39
    assert [path.name for path in (tmp_path / "whole").iterdir()] == ["texts"]
