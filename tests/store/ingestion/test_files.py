"""Which files a source has, what they are called, and which are refused."""

import os
from pathlib import Path

import pytest

from curate.errors import BadDataError, ConfigurationError, UnknownNameError
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
from curate.store.ingestion.source_file import EmptySourceError, SourceFile

TEXTS = Mapping(source="s", modality="text")


def _write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")


def _locators(files: list[SourceFile]) -> list[str]:
    return [file.locator for file in files]


def _reject(file: SourceFile, mapping: Mapping = TEXTS) -> dict[str, str]:
    (parsed,) = read_file(file, mapping)
    assert parsed.complete
    assert parsed.records.num_rows == 0
    (reject,) = parsed.rejects.to_pylist()
    return reject  # type: ignore[no-any-return]


def test_a_folder_gives_all_its_files_in_order(tmp_path: Path) -> None:
    _write(tmp_path, "b.txt", "a/z.py", "a/b/c.json", "B.md")
    files = list_files(tmp_path, TEXTS)
    assert _locators(files) == ["B.md", "a/b/c.json", "a/z.py", "b.txt"]
    assert [file.folder for file in files] == ["", "b", "a", ""]
    assert files == list_files(str(tmp_path), TEXTS)


def test_hidden_files_and_leftovers_are_left_out(tmp_path: Path) -> None:
    _write(tmp_path, "a.txt", ".hidden", ".git/config", "a.txt~", "#a.txt#", "a.swp", "x.part", "d/Thumbs.db", "a.tmp")
    assert _locators(list_files(tmp_path, TEXTS)) == ["a.txt"]
    assert _locators(list_files(tmp_path / "*", TEXTS)) == ["a.txt"]
    assert _locators(list_files(tmp_path / ".hidden", TEXTS)) == [".hidden"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt"]),
        ("*/*.txt", ["d/b.txt"]),
        ("**/*.txt", ["a.txt", "d/b.txt", "d/e/c.txt"]),
        ("**", ["a.txt", "d/b.txt", "d/e/c.txt", "d/e/f.py"]),
        ("d/**/[cf].*", ["e/c.txt", "e/f.py"]),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    _write(tmp_path, "a.txt", "d/b.txt", "d/e/c.txt", "d/e/f.py")
    assert _locators(list_files(f"{tmp_path}/{pattern}", TEXTS)) == expected


def test_a_name_with_wildcards_is_taken_as_written_if_it_exists(tmp_path: Path) -> None:
    _write(tmp_path, "a[1].txt", "a1.txt")
    assert _locators(list_files(tmp_path / "a[1].txt", TEXTS)) == ["a[1].txt"]


def test_an_explicit_format_chooses_by_extension_in_folders_only(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl", "b.NDJSON", "README.md")
    mapping = Mapping(source="s", modality="text", format="jsonl")
    assert _locators(list_files(tmp_path, mapping)) == ["a.jsonl", "b.NDJSON"]
    assert _locators(list_files(tmp_path / "*.md", mapping)) == ["README.md"]


def test_locators_and_fingerprints_survive_a_move(tmp_path: Path) -> None:
    _write(tmp_path, "old/data/a.txt")
    before = list_files("data", TEXTS, base=tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    after = list_files("data", TEXTS, base=tmp_path / "new")
    assert _locators(before) == _locators(after) == ["data/a.txt"]
    assert before[0].fingerprint == after[0].fingerprint


def test_locators_of_data_elsewhere_count_from_the_source(tmp_path: Path) -> None:
    _write(tmp_path, "elsewhere/a.txt")
    assert _locators(list_files(tmp_path / "elsewhere", TEXTS, base=tmp_path / "project")) == ["a.txt"]


def test_the_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    _write(tmp_path, "a.txt")
    (before,) = list_files(tmp_path, TEXTS)
    os.utime(before.path, ns=(0, 1))
    (after,) = list_files(tmp_path, TEXTS)
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("name", ["nothing", "nothing/*.txt", "a.txt/b"])
def test_a_missing_path_is_named(tmp_path: Path, name: str) -> None:
    _write(tmp_path, "a.txt")
    with pytest.raises(BadDataError, match="nothing exists at") as caught:
        list_files(tmp_path / name, TEXTS)
    assert caught.value.hint
    assert not isinstance(caught.value, EmptySourceError)


def test_an_empty_source_is_an_error_of_its_own(tmp_path: Path) -> None:
    _write(tmp_path, "only.md")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptySourceError):
        list_files(tmp_path / "empty", TEXTS)
    with pytest.raises(EmptySourceError, match="no file matches"):
        list_files(tmp_path / "*.txt", TEXTS)
    with pytest.raises(EmptySourceError, match="'parquet'"):
        list_files(tmp_path, Mapping(source="s", modality="text", format="parquet"))


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "secret.txt", "outside/b.txt", "inside/real/a.txt")
    inside = tmp_path / "inside"
    (inside / "file").symlink_to(tmp_path / "secret.txt")
    (inside / "folder").symlink_to(tmp_path / "outside")
    (inside / "loop").symlink_to(inside)
    (inside / "same").symlink_to("real/a.txt")
    files = {file.locator: file for file in list_files(inside, TEXTS)}
    assert sorted(files) == ["file", "folder", "real/a.txt", "same"]
    assert [_reject(files[name])["reason"] for name in ("file", "folder")] == ["outside-the-source"] * 2
    assert files["same"].refusal is None
    (named,) = list_files(inside / "file", TEXTS)
    assert next(read_file(named, TEXTS)).records["text"].to_pylist() == ["content of secret.txt"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (file,) = list_files(tmp_path, TEXTS)
    assert _reject(file)["reason"] == "not-a-file"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet"])
def test_a_file_that_vanished_is_a_reject(tmp_path: Path, name: str) -> None:
    _write(tmp_path, name)
    (file,) = list_files(tmp_path, TEXTS)
    file.path.unlink()
    assert _reject(file) == {"locator": name, "reason": "unreadable", "detail": "No such file or directory"}


def test_a_dangling_link_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("nothing")
    (file,) = list_files(tmp_path, TEXTS)
    assert _reject(file)["reason"] == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_reject(tmp_path: Path) -> None:
    _write(tmp_path, "a.txt", "folder/b.txt")
    (tmp_path / "a.txt").chmod(0)
    (tmp_path / "folder").chmod(0)
    files = list_files(tmp_path, TEXTS)
    (tmp_path / "folder").chmod(0o700)
    assert [_reject(file)["reason"] for file in files] == ["unreadable", "unreadable"]


def test_a_name_that_is_no_utf8_is_escaped(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("text")
    (file,) = list_files(tmp_path, TEXTS)
    assert next(read_file(file, TEXTS)).records["locator"].to_pylist() == ["\\xff.txt"]


@pytest.mark.parametrize(
    ("modality", "name", "reason"),
    [
        ("image", "a.jsonl", "unsupported-format"),
        ("image", "README.md", "image-does-not-decode"),
        ("events", "a.txt", "unsupported-format"),
        ("text", "a.parquet", "broken-parquet"),
    ],
)
def test_files_of_another_kind_are_rejects(tmp_path: Path, modality: str, name: str, reason: str) -> None:
    _write(tmp_path, name)
    mapping = Mapping(source="s", modality=modality)  # type: ignore[arg-type]
    (file,) = list_files(tmp_path, mapping)
    assert _reject(file, mapping)["reason"] == reason


def test_mappings_that_cannot_work_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: "):
        Mapping(source="s", modality="txt")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError):
        Mapping(source="s", modality="text", format="xml")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="hold no items"):
        Mapping(source="s", modality="image", format="jsonl")
    with pytest.raises(ConfigurationError, match="batch_rows"):
        Mapping(source="s", modality="text", batch_rows=0)
