"""Bounding a question's memory: what does not fit goes to a folder beside the store, which vanishes with the reader."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.store.reader import Reader

_PREFIX = "spill-"
_THREAD_MEGABYTES = 128
"""What DuckDB wants for each thread: with less, many cores would use the memory up before anything is moved to disk."""


def bound_memory(reader: "Reader", megabytes: int) -> None:
    """Let a reader's questions hold `megabytes` in memory from now on; sorts, joins and groups move to disk beyond it.

    The folder is made when it is needed; what killed processes left in theirs goes first.
    """
    for left in reader.store_folder.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX)
        if owner.isdecimal() and not is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = spill_folder(reader.store_folder)
    if _setting(reader, "temp_directory") != str(folder):
        reader.query(f"SET temp_directory = {_quoted(folder)}")
    reader.query(f"SET memory_limit = '{megabytes}MB'")
    reader.query(f"SET threads = {max(1, min(os.cpu_count() or 1, megabytes // _THREAD_MEGABYTES))}")


def spill_folder(store_folder: Path) -> Path:
    """Return where this process puts what does not fit into memory."""
    return (store_folder / f"{_PREFIX}{os.getpid()}").resolve()


def is_alive(process: int) -> bool:
    """Whether a process of this number runs on this machine, whoever's it is."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _setting(reader: "Reader", name: str) -> str:
    return str(reader.query("SELECT current_setting(?) AS value", [name])["value"][0])


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
