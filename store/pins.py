"""Pins: a reader holds the manifest that it reads, so that no segment which it may still ask for is deleted.

A pin is a shared `flock` on the very file that the reader has read; the kernel frees it when the reader dies. Whoever
swaps the manifest keeps the replaced one under a second name in `readers/` until nobody holds it any more. So pinning
writes nothing and needs no right to write. Local disks only, like the lease.
"""

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from curate.errors import StoreError
from curate.store.manifest import (
    MANIFEST_FILE,
    PUBLISHED_FOLDER,
    Manifest,
    damaged_manifest,
    manifest_from,
    read_manifest,
)

READERS_FOLDER = "readers"


@dataclass(frozen=True, slots=True)
class Pin:
    """A manifest, and the hold on it; closing frees it, and so does the end of the process."""

    manifest: Manifest
    stream: IO[bytes] | None = None

    def close(self) -> None:
        """Let go; nothing is read by this manifest from now on."""
        if self.stream is not None and not self.stream.closed:
            # Closing alone would not do: a child forked meanwhile shares the lock.
            fcntl.flock(self.stream, fcntl.LOCK_UN)
            self.stream.close()


def pin_manifest(folder: Path) -> Pin:
    """Read the manifest of the store in `folder` and hold it; never waits.

    Raises:
        StoreError: it is damaged.
    """
    path = folder / PUBLISHED_FOLDER / MANIFEST_FILE
    while True:
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            return Pin(Manifest())
        except OSError as error:
            raise damaged_manifest(folder, error) from error
        if _hold(stream):
            return Pin(manifest_from(stream.read(), folder), stream)
        stream.close()  # it was replaced and taken away between opening and holding it


def keep_replaced(folder: Path) -> None:
    """Give the manifest that is about to be replaced its second name; the caller holds the lease."""
    path = folder / PUBLISHED_FOLDER / MANIFEST_FILE
    if path.exists():
        (folder / READERS_FOLDER).mkdir(exist_ok=True)
        # After a kill it has the name already; where there are no hard links (exFAT), readers have the grace alone.
        with contextlib.suppress(OSError):
            (folder / READERS_FOLDER / f"{path.stat().st_ino}.json").hardlink_to(path)


def pinned_manifests(folder: Path) -> list[Manifest]:
    """Return the replaced manifests that readers still hold, and forget the others; the caller holds the lease."""
    path = folder / PUBLISHED_FOLDER / MANIFEST_FILE
    current = path.stat().st_ino if path.exists() else None
    found = []
    for name in sorted((folder / READERS_FOLDER).glob("*.json")):
        with name.open("rb") as stream:
            if os.fstat(stream.fileno()).st_ino == current or _is_free(stream):
                name.unlink()
            else:
                with contextlib.suppress(StoreError):
                    found.append(manifest_from(stream.read(), folder))
    return found


def files_in_use(folder: Path) -> set[str]:
    """Return the segments that some reader may ask for: those of the manifest and of every pinned one."""
    manifests = [read_manifest(folder), *pinned_manifests(folder)]
    return {segment.file for one in manifests for segments in one.tables.values() for segment in segments}


def _hold(stream: IO[bytes]) -> bool:
    """Hold an open manifest; false where it is being, or has been, taken away."""
    try:
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(stream.fileno()).st_nlink > 0


def _is_free(stream: IO[bytes]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
