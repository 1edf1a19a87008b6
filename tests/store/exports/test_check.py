"""What loads an export back: pyarrow by the rules of `datasets`, and `datasets` itself, find the same."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import BadDataError, MissingExtraError
from curate.store.exports import check
from curate.store.exports.check import check_export, check_with_datasets
from curate.store.exports.manifest import ExportManifest
from curate.store.exports.plan import ExportPlan
from curate.store.snapshots import SnapshotSpec

Add = Callable[..., int]
Export = Callable[..., Path]
ODD = ("null", "1.0", "yes", "- list", "# x", "{a: 1}", "", " ", "tab\t", "line\nbreak", "a\\b", "'", '"', "😀", "\x85")
EVENTS = [[{"time": 0.5, "type": 1}], [], None]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A check that also compares what the two readers find; `datasets` is started once, for it takes seconds."""

    def compare(folder: Path, plan: ExportPlan, manifest: ExportManifest) -> None:
        loaded = list(check._with_datasets(folder, plan))
        monkeypatch.setattr(check, "_with_datasets", lambda *_: iter(loaded))
        check_with_datasets(folder, plan, manifest)
        readings = [check._with_pyarrow(folder, plan), loaded]
        first, second = (
            pa.concat_tables([check._identified(split, rows, plan) for split, rows in reading]) for reading in readings
        )
        assert len(first)
        assert first.equals(second)

    return compare


@pytest.mark.parametrize(
    "modality", ["image", *(pytest.param(one, marks=pytest.mark.slow) for one in ("text", "events"))]
)
def test_both_readers_find_the_same(
    add: Add, make: Any, export: Export, tmp_path: Path, found: Callable[..., None], modality: str
) -> None:
    ids = make.ids(*range(30))
    contents = {
        "text": {},
        "image": {"image": [b"not decoded here"] * 30},
        "events": {"events": EVENTS * 10, "time_unit": "days"},
    }
    labels = {"text": list(ODD) * 2, "image": list("ab") * 15}
    add(items=make.items(ids, modality, **contents[modality]))
    if modality in labels:
        add(annotations=make.claims(ids, labels[modality]))
    spec = SnapshotSpec(
        "set", modality, label="topic" if modality in labels else "", splits={"train": 0.7, "test": 0.3}
    )
    assert export(spec, tmp_path / "exports", check=found).is_dir()


def test_a_column_that_may_hold_no_nulls_is_refused(add: Add, make: Any, export: Export, tmp_path: Path) -> None:
    add(items=make.items(make.ids(1, 2)))

    def required(staged: Path, plan: ExportPlan, manifest: ExportManifest) -> None:
        strict = check.schema(plan).set(0, pa.field("item_id", pa.string(), nullable=False))
        check._check_schema(plan, strict)

    with pytest.raises(BadDataError, match="not null"):
        export(SnapshotSpec("set", "text"), tmp_path / "exports", check=required)


def test_without_datasets_its_check_says_what_to_install(
    add: Add, make: Any, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(items=make.items(make.ids(1, 2)))
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        export(SnapshotSpec("set", "text"), tmp_path / "exports", check=check_with_datasets)
    assert "curate[hub]" in caught.value.hint
    assert list((tmp_path / "exports").iterdir()) == []


def test_what_datasets_says_is_passed_on(add: Add, make: Any, export: Export, tmp_path: Path) -> None:
    add(items=make.items(make.ids(1, 2)))

    def undeclared(staged: Path, plan: ExportPlan, manifest: ExportManifest) -> None:
        (staged / "README.md").write_text("---\nconfigs: 7\n---\n")
        list(check._with_datasets(staged, plan))

    with pytest.raises(BadDataError, match=r"datasets cannot load it: \w+"):
        export(SnapshotSpec("set", "text"), tmp_path / "exports", check=undeclared)


def test_neither_check_loads_datasets_here(
    add: Add, make: Any, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it here would be an error
    monkeypatch.setattr(check, "find_spec", lambda name: object())
    add(items=make.items(make.ids(1, 2)))
    for folder, verification in (("one", check_export), ("two", check_with_datasets)):
        assert export(SnapshotSpec("set", "text"), tmp_path / folder, check=verification).is_dir()
