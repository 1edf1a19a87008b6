"""Checkpoints are files named by their content: written, flushed, renamed; only then does a commit name them."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from curate.errors import StoreError
from curate.store.manifest import replace_file
from curate.store.reader import Reader

CHECKPOINT_FOLDER = "checkpoints"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A learner's state after a number of its snapshot, by the name of its file."""

    name: str
    number: int


def save_checkpoint(store_folder: Path, state: bytes) -> str:
    """Keep a state and return its SHA-256; a state that is there already is not written again."""
    name = hashlib.sha256(state).hexdigest()
    path = _path(store_folder, name)
    with saving_checkpoints(store_folder):
        if path.exists():
            os.utime(path)  # it may be an orphan's: `gc` spares what was touched lately, until a commit names it
        else:
            replace_file(path, state)
    return name


@contextmanager
def saving_checkpoints(store_folder: Path) -> Iterator[None]:
    """Hold the right to write or delete checkpoints; the kernel frees it when the holder dies."""
    folder = store_folder / CHECKPOINT_FOLDER
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def load_checkpoint(store_folder: Path, name: str) -> bytes:
    """Return the state of this name.

    Raises:
        StoreError: the file is missing or its content is not what its name says.
    """
    try:
        state = _path(store_folder, name).read_bytes()
    except OSError as error:
        raise StoreError(f"checkpoint {name[:12]} cannot be read: {error}", hint="restore it from a backup") from error
    if hashlib.sha256(state).hexdigest() != name:
        raise StoreError(
            f"checkpoint {name[:12]} is damaged: its content does not match its name",
            unchanged="the store's rows were not touched",
            hint="restore the file from a backup",
        )
    return state


def newest_checkpoint(
    reader: Reader, learner: str, version: str, encoder_version: str, snapshot: str
) -> Checkpoint | None:
    """Return a learner's newest checkpoint over a snapshot, None before its first."""
    found = reader.query(
        "SELECT checkpoint, number FROM checkpoints WHERE learner = ? AND learner_version = ?"
        " AND encoder_version = ? AND snapshot = ? ORDER BY number DESC, commit_number DESC LIMIT 1",
        [learner, version, encoder_version, snapshot],
    )
    return Checkpoint(*found.to_pylist()[0].values()) if len(found) else None


def needed_of_policies() -> str:
    """The question for the states that policies of streams go on from: of each policy the newest one only."""
    return """
        SELECT checkpoint FROM (
            SELECT checkpoint FROM policies
            QUALIFY row_number() OVER (PARTITION BY policy ORDER BY commit_number DESC, seen DESC, learned DESC) = 1)
        WHERE checkpoint <> ''"""


def named_checkpoints(reader: Reader) -> list[str]:
    """Return the files' names of all states that learners and policies of streams may go on from, sorted."""
    found = reader.query(f"SELECT checkpoint FROM checkpoints UNION {needed_of_policies()} ORDER BY 1")
    return [str(name) for name in found["checkpoint"].to_pylist()]


def _path(store_folder: Path, name: str) -> Path:
    return store_folder / CHECKPOINT_FOLDER / f"{name}.safetensors"
