"""Fits that are under way: a folder each, with what a fit goes on from after a kill; a row names its end only."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import StoreBusyError, StoreError

FITS_FOLDER = "fits"
RESTING_SECONDS = 7 * 24 * 3_600.0
"""How long a fit that was stopped is kept: it may have taken hours."""


@contextmanager
def fit_folder(store_folder: Path, name: str) -> Iterator[Path]:
    """Hold the folder of a fit, made if there is none, alone; the kernel frees it when the holder dies.

    Raises:
        StoreBusyError: another process holds it.
        StoreError: it cannot be made.
    """
    folder = store_folder / FITS_FOLDER / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StoreError(f"there can be no folder for a fit: {error}", hint="make room, and run it again") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    except BlockingIOError as error:
        raise StoreBusyError(
            f"another process is at work on the fit {name}", unchanged="the fit", hint="wait for it, or stop it"
        ) from error
    finally:
        os.close(descriptor)


def end_fit(folder: Path) -> None:
    """Remove what only a fit that goes on would need."""
    shutil.rmtree(folder, ignore_errors=True)


def resting_fits(store_folder: Path) -> list[Path]:
    """Return the folders of fits that no process is at work on, nor was for `RESTING_SECONDS`."""
    folders = [folder for folder in sorted((store_folder / FITS_FOLDER).glob("*")) if not _is_held(folder)]
    return [folder for folder in folders if time.time() - _last_touched(folder) > RESTING_SECONDS]


def _last_touched(folder: Path) -> float:
    return max(entry.stat().st_mtime for entry in (folder, *folder.rglob("*")))


def _is_held(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
