"""The write lease: at most one process writes to a store at a time, and whoever waits knows for whom.

`flock` on a file beside the ledger decides; the kernel frees it when the holder dies. The JSON in the file only serves
messages. Local disks only: network file systems do not keep `flock`'s promise.
"""

import fcntl
import json
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from curate.errors import ConfigurationError, StoreBusyError

LEASE_FILE = "lease"
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease: process, host, command line and since when (ISO 8601, UTC)."""

    pid: int
    host: str
    command: str
    since: str

    def __str__(self) -> str:
        """Name the holder for a message."""
        return f"process {self.pid} on {self.host} ({self.command}), since {self.since}"


def holder(folder: Path) -> Holder | None:
    """Return who holds the lease of the store in `folder` now, or None; never waits."""
    try:
        descriptor = os.open(folder / LEASE_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


@contextmanager
def hold_lease(folder: Path, *, timeout: float, command: str) -> Iterator[None]:
    """Hold the lease of the store in `folder` for the block; wait at most `timeout` seconds for it.

    Raises:
        StoreBusyError: someone else held it for the whole time; the message names the holder.
        ConfigurationError: the folder is gone or may not be written to.
    """
    descriptor = _acquired(folder, timeout)
    try:
        _write_holder(descriptor, command)
        yield
    finally:
        # Closing alone would not do: a child forked meanwhile shares the lock.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _acquired(folder: Path, timeout: float) -> int:
    """Return the locked lease file; one that was moved away while its lock was waited for does not count."""
    while True:
        descriptor = _open(folder)
        try:
            _acquire(descriptor, folder, timeout)
            if _lies_in(folder, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lies_in(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), (folder / LEASE_FILE).stat())
    except FileNotFoundError:
        return False


def _open(folder: Path) -> int:
    try:
        return os.open(folder / LEASE_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigurationError(
            f"the store {folder.name!r} cannot be written: {error.strerror}",
            unchanged="nothing of this batch was written",
            hint="check that the folder exists and that you may write to it (`curate doctor`)",
        ) from error


def _acquire(descriptor: int, folder: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    pause = _SHORTEST_PAUSE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise _busy(descriptor, folder, timeout) from None
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            return


def _busy(descriptor: int, folder: Path, timeout: float) -> StoreBusyError:
    owner = _read_holder(descriptor)
    return StoreBusyError(
        f"the store {folder.name!r} is held by {owner or 'another process'}; waited {timeout:g} s",
        unchanged="nothing of this batch was written",
        hint="run the command again later, or stop the holder; `curate status` works meanwhile",
    )


def _write_holder(descriptor: int, command: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = Holder(os.getpid(), socket.gethostname(), command, now)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(record)).encode(), 0)


def _read_holder(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):
        return None
