"""An item's own licence, from a column of whatever holds it."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from curate.store.ingestion.mapping import Mapping

TEXTS = ("one", "two", "three", "four")
LICENCES = ("MIT", None, "", "CC-BY-4.0")
EXPECTED = ["MIT", "house", "house", "CC-BY-4.0"]


def _table() -> pa.Table:
    return pa.table({"text": TEXTS, "terms": pa.array(LICENCES).dictionary_encode()})


def _jsonl(path: Path) -> None:
    lines = (json.dumps({"text": text, "terms": terms}) + "\n" for text, terms in zip(TEXTS, LICENCES, strict=True))
    path.write_text("".join(lines), encoding="utf-8")


def _csv(path: Path) -> None:
    lines = (f"{text},{terms or ''}\n" for text, terms in zip(TEXTS, LICENCES, strict=True))
    path.write_text("text,terms\n" + "".join(lines), encoding="utf-8")


def _webdataset(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for text, terms in zip(TEXTS, LICENCES, strict=True):
            for ending, content in (("txt", text), ("terms", terms)):
                if content is not None:
                    member = tarfile.TarInfo(f"{text}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content.encode()))


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.jsonl": _jsonl,
    "a.csv": _csv,
    "a.parquet": lambda path: pq.write_table(_table(), path),
    "a.arrow": lambda path: feather.write_feather(_table(), str(path)),
    "a.tar": _webdataset,
}


@pytest.mark.parametrize("name", WRITERS)
def test_rows_without_one_have_the_sources(tmp_path: Path, read, name: str) -> None:
    WRITERS[name](tmp_path / name)
    reading = read(tmp_path / name, licence="house", licence_column="terms")
    assert reading.column("licence") == EXPECTED


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_what_is_no_single_value_is_refused(tmp_path: Path, read, name: str) -> None:
    rows = [{"text": "one", "terms": ["MIT", "ISC"]}]
    if name == "a.jsonl":
        (tmp_path / name).write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    assert read(tmp_path / name, licence_column="terms").reasons == ["invalid-licence"]


def test_a_missing_column_is_told(tmp_path: Path, read) -> None:
    pq.write_table(_table(), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", licence_column="license").reasons == ["missing-column"]


def test_a_column_without_a_name_is_asked_for_nothing(tmp_path: Path, read) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one", "": ["no single value"]}\n', encoding="utf-8")
    assert read(tmp_path / "a.jsonl").column("licence") == [""]
    assert Mapping(source="s", modality="text").beside_content == ()
