"""The manifest: what a reader sees, and how it is swapped."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import ConfigurationError, StoreError
from curate.store.manifest import MANIFEST_FILE, PUBLISHED_FOLDER, Manifest, Segment, read_manifest, write_manifest
from curate.store.manifest import replace_file as replace
from curate.store.reader import Reader

MANIFEST = Manifest(
    commit_number=3,
    committed_at="2026-11-22T10:00:00+00:00",
    step="ingest",
    tables={"items": (Segment("items-1-2.parquet", 5, 1), Segment("items-3-3.parquet", 2))},
    figures={"items:text": 7},
    retired=(("items-1-1.parquet", 12.5),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / PUBLISHED_FOLDER).mkdir()
    return tmp_path / PUBLISHED_FOLDER / MANIFEST_FILE


def test_what_is_written_is_read(tmp_path: Path, path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST
    assert MANIFEST.rows("items") == 7
    assert MANIFEST.rows("origins") == 0
    assert [entry.name for entry in path.parent.iterdir()] == [MANIFEST_FILE]


def test_nothing_published_is_an_empty_manifest(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == Manifest()
    assert read_manifest(tmp_path / "no store") == Manifest()


@pytest.mark.parametrize("look", [read_manifest, Reader])
def test_a_file_is_no_store(tmp_path: Path, look: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_text("no store")
    with pytest.raises(ConfigurationError, match="'file' is no folder") as caught:
        look(tmp_path / "file")
    assert "--store" in caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b"\xff\xfe\x00", b'{"format": 1, "commit_number":'], ids=repr
)
def test_a_damaged_manifest_says_what_to_do(tmp_path: Path, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as caught:
        read_manifest(tmp_path)
    assert "published/" in caught.value.hint
    assert caught.value.unchanged


def test_another_format_is_refused(tmp_path: Path, path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(StoreError, match="format 2 is not 1"):
        read_manifest(tmp_path)


def test_a_manifest_that_cannot_be_read_is_no_traceback(tmp_path: Path, path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError):
        read_manifest(tmp_path)


def test_a_replacement_that_fails_leaves_the_old_file(path: Path) -> None:
    replace(path, b"old")
    with pytest.raises(TypeError):
        replace(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"


def test_reading_it_needs_neither_duckdb_nor_pyarrow(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from curate.store.manifest import read_manifest;"
        f"read_manifest(Path({str(tmp_path)!r})); sys.exit(bool({{'duckdb', 'pyarrow'}} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
