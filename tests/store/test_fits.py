"""Fits under way have a folder each, held by one process; what rests for a week goes with the garbage."""

import os
import time
from pathlib import Path

import pytest

from curate.errors import StoreBusyError, StoreError
from curate.store.care.garbage import collect_garbage, find_garbage
from curate.store.fits import RESTING_SECONDS, end_fit, fit_folder
from curate.store.store import Store


def test_a_fit_is_held_by_one_process_and_kept_until_it_ends(tmp_path: Path) -> None:
    with fit_folder(tmp_path, "style") as folder:
        (folder / "step").write_bytes(b"state")
        with pytest.raises(StoreBusyError, match="another process"), fit_folder(tmp_path, "style"):
            pass
    with fit_folder(tmp_path, "style") as again:
        assert (again / "step").read_bytes() == b"state"
        end_fit(again)
    assert not folder.exists()


def test_no_room_for_a_fit_is_told(tmp_path: Path) -> None:
    (tmp_path / "fits").write_text("in the way")
    with pytest.raises(StoreError, match="no folder for a fit"), fit_folder(tmp_path, "style"):
        pass


def test_only_a_fit_that_rests_for_long_is_garbage(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True, lease_timeout=5.0, command="test")
    for name in ("resting", "held", "young"):
        with fit_folder(store.folder, name) as folder:
            (folder / "step").write_bytes(b"state")
        if name != "young":
            long_ago = time.time() - RESTING_SECONDS - 60
            for path in (folder / "step", folder):
                os.utime(path, (long_ago, long_ago))
    with fit_folder(store.folder, "held"):
        assert [entry.name for entry in find_garbage(store)] == ["resting"]
        collect_garbage(store)
    assert sorted(path.name for path in (store.folder / "fits").iterdir()) == ["held", "young"]
