"""Bounding a question's memory: what does not fit goes to a folder beside the store, which vanishes with the reader.

Every reader has a folder of its own, for DuckDB names the files in it alike each time: two databases that moved what
they hold to the same folder would read each other's. Its name says on which system (machine, boot, container) and in
which process the reader lives, so that what a killed one left can be told from what is in use.
"""

import contextlib
import hashlib
import itertools
import os
import platform
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import duckdb

from curate.store.address import Address

if TYPE_CHECKING:
    from curate.store.reader import Reader

_PREFIX = "spill-"
_THREAD_MEGABYTES = 128
"""What DuckDB wants for each thread: with less, many cores would use the memory up before anything is moved to disk."""
_numbers = itertools.count(1)
_bounded: dict[Address, set[int]] = defaultdict(set)
_bounding = Lock()


def bound_memory(reader: "Reader", megabytes: int) -> None:
    """Let a reader's questions hold `megabytes` in memory until it closes; sorts, joins and groups move to disk beyond.

    A lake's readers share what bounds them: it ends with the last of them that asked for it. What killed processes of
    this system left on disk goes first.
    """
    for left in spill_folders(reader.store_folder):
        if is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    with _bounding:
        if id(reader) not in _bounded[reader.address]:
            _bounded[reader.address].add(id(reader))
            reader.at_close(_unbind)
        reader.query(f"SET memory_limit = '{megabytes}MB'")
        reader.query(f"SET threads = {max(1, min(os.cpu_count() or 1, megabytes // _THREAD_MEGABYTES))}")


def spill_folder(store_folder: Path) -> Path:
    """Return where one reader of this process may put what does not fit into memory; nobody else has this folder."""
    process = os.getpid()
    return (store_folder / f"{_PREFIX}{_system()}-{process}-{_start_of(process)}-{next(_numbers)}").resolve()


def spill_folders(store_folder: Path) -> Iterator[Path]:
    """Yield the folders that readers, of whichever system, have made and not yet taken away."""
    yield from sorted(store_folder.glob(f"{_PREFIX}*"))


def is_abandoned(folder: Path) -> bool:
    """Whether its reader's process ran on this system and has ended; of another system's nobody can tell from here."""
    system, process, start = _owner(folder)
    return system == _system() and _start_of(process) != start


def is_in_use(folder: Path) -> bool:
    """Whether its reader's process runs on this system."""
    system, process, start = _owner(folder)
    return system == _system() and _start_of(process) == start


def is_alive(process: int) -> bool:
    """Whether a process of this number runs on this machine, whoever's it is."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _unbind(reader: "Reader") -> None:
    with _bounding:
        readers = _bounded[reader.address]
        readers.discard(id(reader))
        if not readers:
            del _bounded[reader.address]
            with contextlib.suppress(duckdb.Error):
                reader.query("RESET memory_limit")
                reader.query("RESET threads")


def _owner(folder: Path) -> tuple[str, int, str]:
    """The system, the process and its start that a folder is named after; nobody's where it is named otherwise."""
    parts = folder.name.removeprefix(_PREFIX).split("-")
    if len(parts) != 4 or not parts[1].isdecimal():
        return "", 0, ""
    return parts[0], int(parts[1]), parts[2]


@cache
def _system() -> str:
    """What numbers processes: a machine since its last boot, or a container on it.

    Where the system does not say, it is this process: then nothing that others left counts as abandoned.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        named = f"{platform.node()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        named = secrets.token_hex()
    return hashlib.sha256(named.encode()).hexdigest()[:12]


def _start_of(process: int) -> str:
    """When a process began, in the kernel's ticks since the boot; "" where none runs, "0" where that is not told."""
    try:
        figures = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return "0" if is_alive(process) else ""
    return figures.split()[19]
