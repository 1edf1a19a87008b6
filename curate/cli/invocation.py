"""One call of the command: what its options said, and the project that they lead to."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import ConfigurationError

if TYPE_CHECKING:
    from curate.flows.project import Project
    from curate.settings import LoadedSettings, Settings
    from curate.store.address import Address
    from curate.types import Progress


@dataclass
class Invocation:
    """What the options of one call say; `overrides` are the flags that set a setting, by its dotted key."""

    project_file: Path | None = None
    as_json: bool = False
    debug: bool = False
    quiet: bool = False
    overrides: dict[str, str] = field(default_factory=dict)
    store_address: Address | None = None

    @property
    def store_folder(self) -> Path | None:
        """The folder on this machine that belongs to the store: all of an embedded one, a lake's journal and such."""
        from curate.store.address import local_folder

        return None if self.store_address is None else local_folder(self.store_address)

    def find_project_file(self) -> Path | None:
        """Return the project's file; None where none is needed because a store is named.

        Raises:
            ConfigurationError: there is none, and no store is named either.
        """
        from curate.settings import PROJECT_FILE, find_project_file

        if self.project_file:
            return self.project_file / PROJECT_FILE if self.project_file.is_dir() else self.project_file
        try:
            return find_project_file(Path.cwd())
        except ConfigurationError:
            if "store" in self.overrides or "CURATE_STORE" in os.environ:
                return None
            raise

    def load(self) -> tuple[LoadedSettings, Path]:
        """Return the settings with their sources, and the project's folder.

        Raises:
            ConfigurationError: no project, or a broken one.
        """
        from curate.settings import trace_settings
        from curate.store.address import store_address

        file = self.find_project_file()
        folder = file.resolve().parent if file else Path.cwd()
        loaded = trace_settings(file, self.overrides)
        lake = loaded.settings.lake
        self.store_address = store_address(loaded.settings.store, folder, folder=lake.folder, data=lake.data)
        return loaded, folder

    def existing_store(self) -> Address:
        """Return the address of a store that is there.

        Raises:
            ConfigurationError: nothing has been committed there.
        """
        from curate.store.overview import newest_commit

        self.load()
        assert self.store_address is not None
        if not newest_commit(self.store_address):
            raise ConfigurationError(f"there is nothing in the store {self.store_address} yet", hint="curate run")
        return self.store_address

    def project(self, settings: Settings | None = None) -> Project:
        """Return the project, with other settings than its own where they are given."""
        from curate.flows.project import Project

        loaded, folder = self.load()
        return Project(folder, settings or loaded.settings)

    def progress(self) -> Progress:
        """Return the progress that suits the terminal and `--quiet`."""
        from curate.console import make_progress

        return make_progress(quiet=self.quiet)

    def narrate(self, message: str) -> None:
        """Tell a person something that is not data."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)
