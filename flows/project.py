"""A project as the steps see it: its folder, its settings and its store."""

import hashlib
import json
import sys
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from curate.settings import Settings
from curate.store.reader import Reader
from curate.store.store import Store


class Project:
    """One project folder with its settings; opens its store on first use.

    `run_id` of everything that this object writes is the store object's, so one process walk is one run.
    """

    def __init__(self, folder: Path, settings: Settings, command: str = "") -> None:
        self.folder = folder
        self.settings = settings
        self.command = command or " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])

    @cached_property
    def store(self) -> Store:
        """The project's store, made if there is none."""
        return Store.open(
            self.store_folder,
            create=True,
            lease_timeout=self.settings.lease_timeout,
            command=self.command,
            version=installed_version(),
        )

    @property
    def store_folder(self) -> Path:
        """Where the store lies."""
        return self.path(self.settings.store)

    def path(self, relative: str) -> Path:
        """Resolve a path of the settings against the project's folder."""
        return self.folder / Path(relative).expanduser()

    def reader(self) -> Reader:
        """Open the published snapshot as it is now."""
        return Reader(self.store_folder)


def installed_version() -> str:
    """The installed version of curate."""
    try:
        return version("curate")
    except PackageNotFoundError:
        return ""


def parameters_hash(parameters: Any) -> str:
    """Hash a step's parameters for the ledger: 16 hex digits of SHA-256 over canonical JSON."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]
