"""A project as the steps see it: its folder, its settings and its store."""

import hashlib
import json
import re
import sys
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.settings import Settings
from curate.store.address import Address, local_folder, store_address
from curate.store.reader import Reader
from curate.store.store import Store, new_run_id

if TYPE_CHECKING:
    from curate.flows.lineage.outlets import Outlets


class Project:
    """One project folder with its settings; opens its store on first use.

    Everything that this object writes carries its `run_id`, so one process walk is one run. `parent_run` is the id of
    the flow run that its steps belong to (a UUID; "" = none), `executions` counts them; both serve lineage.
    """

    def __init__(self, folder: Path, settings: Settings, command: str = "") -> None:
        self.folder = folder
        self.settings = settings
        self.command = command or " ".join([_program(), *map(_without_secrets, sys.argv[1:])])
        self.run_id = new_run_id()
        self.parent_run = ""
        self.executions = 0

    @cached_property
    def store(self) -> Store:
        """The project's store, made if there is none."""
        store = Store.open(
            self.store_address,
            create=True,
            lease_timeout=self.settings.lease_timeout,
            command=self.command,
            version=installed_version(),
        )
        store.run_id = self.run_id
        return store

    @cached_property
    def outlets(self) -> "Outlets":
        """Where lineage goes; false where the settings name no place."""
        from curate.flows.lineage.outlets import Outlets

        return Outlets(self.settings.lineage, self.path)

    @property
    def store_address(self) -> Address:
        """Where the store is."""
        lake = self.settings.lake
        return store_address(self.settings.store, self.folder, folder=lake.folder, data=lake.data)

    @property
    def store_folder(self) -> Path:
        """Where journal and checkpoints lie: in an embedded store's folder, or in that which goes with a lake."""
        return local_folder(self.store_address)

    def path(self, relative: str) -> Path:
        """Resolve a path of the settings against the project's folder."""
        return self.folder / Path(relative).expanduser()

    def reader(self) -> Reader:
        """Show the store's newest commit."""
        return Reader(self.store_address)


def _without_secrets(argument: str) -> str:
    """Take name, password and query out of an address, for what was called is kept and shown.

    >>> _without_secrets("s3://key:secret@bucket/x"), _without_secrets("https://host/x?sig=1"), _without_secrets("a?b")
    ('s3://…@bucket/x', 'https://host/x?…', 'a?b')
    """
    if "://" not in argument:
        return argument
    return re.sub(r"\?.*", "?…", re.sub(r"://[^/@]*@", "://…@", argument))


def _program() -> str:
    """What was called, as a person would type it; `python -m curate` is `curate`."""
    path = Path(sys.argv[0])
    return path.parent.name if path.name == "__main__.py" else path.name


def installed_version() -> str:
    """The installed version of curate."""
    try:
        return version("curate")
    except PackageNotFoundError:
        return ""


def parameters_hash(parameters: Any) -> str:
    """Hash a step's parameters for the ledger: 16 hex digits of SHA-256 over canonical JSON."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]
