"""Backups: a whole store at one commit, copied while writers work, with the hash of every file.

Writers are not held up: the copy reads by a pin, like any reader, and the ledger is not copied (that would need the
lease for as long as it takes) but written from the copied segments. A backup is a store: `store = "FOLDER"` opens it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from curate.errors import CurateError, StoreError, UsageError
from curate.store.address import LakeAddress
from curate.store.care.rebuild import write_ledger
from curate.store.checkpoints import CHECKPOINT_FOLDER, named_checkpoints
from curate.store.copy import copy_store
from curate.store.database import open_ledger
from curate.store.inbox import copy_inbox
from curate.store.journal import JOURNAL_FOLDER
from curate.store.lease import LEASE_FILE, hold_lease
from curate.store.manifest import (
    PUBLISHED_FOLDER,
    Manifest,
    read_manifest,
    replace_file,
    sync_file,
    sync_folder,
    write_manifest,
)
from curate.store.reader import Reader
from curate.store.schema import TABLES
from curate.store.store import Store

BACKUP_FILE = "backup.json"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: its commit, the rows of all tables, its files and their bytes where those are known."""

    folder: Path
    commit_number: int
    rows: int
    files: int | None
    bytes: int | None


def plan_backup(folder: Path, target: Path) -> Backup:
    """Return what `back_up` would copy now; nothing is written.

    Raises:
        UsageError: the target exists and is not empty, or one lies inside the other.
        StoreError: the store is damaged.
    """
    _refuse_place(folder, target)
    with Reader(folder) as reader:
        files = [folder / file for file in _held_files(reader)]
        rows = sum(map(reader.manifest.rows, reader.manifest.tables))
        size = sum(path.stat().st_size for path in files)
        return Backup(target, reader.commit_number, rows, len(files), size)


def back_up(store: Store, target: Path) -> Backup:
    """Copy the store into the new folder `target`, all of it or nothing, and verify the copy.

    It holds everything as of one commit, the checkpoints that rows name, and the answers of journal and inbox; exports
    are no part of a store. Cost: every byte is read, written and read again, and the ledger is written from segments.

    Raises:
        UsageError: the folder exists and is not empty, or one lies inside the other.
        StoreError: the store is damaged, or the copy differs from it.
    """
    _refuse_place(store.folder, target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    with _made_whole(temporary):
        (temporary / PUBLISHED_FOLDER).mkdir(parents=True)
        # The journal first: an answer that is committed and forgotten meanwhile lies in the segments too.
        _copy_journal(store.folder, temporary)
        with Reader(store.folder) as reader:
            manifest = replace(reader.manifest, retired=())
            for file in _held_files(reader):
                _copy(store.folder / file, temporary / file)
        write_manifest(temporary, manifest)
        write_ledger(temporary, manifest)
        _check_counts(temporary, manifest)
        return _put_in_place(temporary, target, manifest)


def plan_lake_backup(address: LakeAddress, target: Path) -> Backup:
    """Return what `back_up_lake` would copy now; files and bytes are known afterwards only. Nothing is written.

    Raises:
        UsageError: the target exists and is not empty, or it lies inside the lake's folder.
    """
    _refuse_place(address.folder, target)
    with Reader(address) as reader:
        return Backup(target, reader.commit_number, sum(reader.manifest.counts().values()), None, None)


def back_up_lake(address: LakeAddress, target: Path, *, lease_timeout: float) -> Backup:
    """Copy a store on DuckLake at its newest commit into the new folder `target`, where it is an embedded store.

    All of it or nothing; every table is compared. Cost: every row is read twice over the network and written twice.

    Raises:
        UsageError: the folder exists and is not empty, or it lies inside the lake's.
        StoreError: the copy differs from the lake.
    """
    _refuse_place(address.folder, target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    with _made_whole(temporary):
        copy_store(address, temporary, lease_timeout=lease_timeout)
        return _put_in_place(temporary, target, read_manifest(temporary))


def check_backup(folder: Path) -> Backup:
    """Return what a backup holds, every file's hash compared.

    Raises:
        StoreError: it is no backup, or a file is not what it was.
    """
    try:
        content = json.loads((folder / BACKUP_FILE).read_bytes())
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in content["files"].items()}
        manifest = read_manifest(folder)
        rows = sum(map(manifest.rows, manifest.tables))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{folder} is no backup: {error}", hint="curate backup FOLDER makes one") from error
    changed = [name for name, expected in files.items() if _fingerprint(folder / name) != expected]
    if changed:
        raise StoreError(
            f"the backup {folder} is damaged: {changed[0]} is not what it was ({len(changed)} of {len(files)} files)",
            unchanged="nothing was restored",
            hint="restore another backup",
        )
    return Backup(folder, manifest.commit_number, rows, len(files), sum(size for size, _ in files.values()))


def restore(backup: Path, store_folder: Path, *, lease_timeout: float, command: str) -> Path | None:
    """Put a verified copy of a backup in the store's place, and return where the present store lies now.

    Raises:
        StoreError: the backup is damaged; nothing was changed.
        StoreBusyError: somebody writes to the present store.
    """
    check_backup(backup)
    _refuse_inside(backup, store_folder)
    temporary = store_folder.with_name(f".{store_folder.name}.{os.getpid()}.partial")
    with _made_whole(temporary):
        shutil.copytree(backup, temporary)
        check_backup(temporary)
        (temporary / BACKUP_FILE).unlink()
        return _exchange(temporary, store_folder, lease_timeout, command)


@contextmanager
def _made_whole(temporary: Path) -> Iterator[None]:
    """Remove what was made if the block fails, and say what the disk refused."""
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield
    except (duckdb.Error, OSError) as error:
        message = f"the copy could not be written: {str(error).splitlines()[0]}"
        raise CurateError(message, unchanged="no copy was left", hint="check the disk (`curate doctor`)") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(temporary: Path, store_folder: Path, lease_timeout: float, command: str) -> Path | None:
    if not store_folder.exists():
        temporary.rename(store_folder)
        return None
    number = 1
    while (aside := store_folder.with_name(f"{store_folder.name}.replaced-{number}")).exists():
        number += 1
    with hold_lease(store_folder, timeout=lease_timeout, command=command):
        store_folder.rename(aside)
        temporary.rename(store_folder)
        sync_folder(store_folder.parent)
    return aside


def _refuse_place(store_folder: Path, target: Path) -> None:
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} exists and is not empty", unchanged="nothing was copied", hint="name a new folder")
    _refuse_inside(target, store_folder)


def _refuse_inside(backup: Path, store_folder: Path) -> None:
    one, other = backup.resolve(), store_folder.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UsageError(
            f"{backup} and the store {store_folder} must not lie inside each other", unchanged="nothing was copied"
        )


def _copy_journal(store_folder: Path, target: Path) -> None:
    copy_inbox(store_folder, target)
    journal = store_folder / JOURNAL_FOLDER / "requests.jsonl"
    if journal.exists():
        (target / JOURNAL_FOLDER).mkdir()
        # An answer that lands meanwhile may be torn at the end: its `put` has not returned.
        replace_file(target / JOURNAL_FOLDER / journal.name, journal.read_bytes())


def _held_files(reader: Reader) -> Iterator[Path]:
    """The files of the store that the reader's commit names, relative to its folder."""
    for segments in reader.manifest.tables.values():
        yield from (Path(PUBLISHED_FOLDER) / segment.file for segment in segments)
    for name in named_checkpoints(reader):
        yield from (path.relative_to(reader.store_folder) for path in _checkpoint_files(reader.store_folder, name))


def _checkpoint_files(folder: Path, name: str) -> list[Path]:
    found = sorted((folder / CHECKPOINT_FOLDER).glob(f"{name}.*"))
    if not found:
        raise StoreError(f"checkpoint {name[:12]} is missing", unchanged="nothing was copied", hint="curate doctor")
    return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
        sync_file(target)
    except OSError as error:
        raise StoreError(f"{source.name} cannot be copied: {error}", hint="check the disk (`curate doctor`)") from error
    if _fingerprint(source) != _fingerprint(target):
        raise StoreError(f"the copy of {source.name} differs from it", hint="check the disk, then try again")


def _check_counts(folder: Path, manifest: Manifest) -> None:
    """Compare the rows of the written ledger with the manifest, by reading the file from disk once more."""
    with open_ledger(folder, timeout=0.0) as connection:
        for table in TABLES:
            [(count,)] = connection.execute(f'SELECT count(*) FROM "{table.name}"').fetchall()
            if count != manifest.rows(table.name):
                raise StoreError(f"the copy has {count} rows of {table.name}, the store {manifest.rows(table.name)}")


def _put_in_place(temporary: Path, target: Path, manifest: Manifest) -> Backup:
    backup = _describe(temporary, target, manifest)
    if target.is_dir():
        target.rmdir()
    temporary.rename(target)
    sync_folder(target.parent)
    return backup


def _describe(temporary: Path, target: Path, manifest: Manifest) -> Backup:
    paths = sorted(path for path in temporary.rglob("*") if path.is_file() and path.name != LEASE_FILE)
    files = {path.relative_to(temporary).as_posix(): _fingerprint(path) for path in paths}
    content = {"format": 1, "commit_number": manifest.commit_number, "files": files}
    replace_file(temporary / BACKUP_FILE, json.dumps(content, indent=1, sort_keys=True).encode())
    rows, size = sum(map(manifest.rows, manifest.tables)), sum(size for size, _ in files.values())
    return Backup(target, manifest.commit_number, rows, len(files), size)


def _fingerprint(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file; (-1, "") where it is missing."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return path.stat().st_size, digest
    except OSError:
        return -1, ""
