"""Where a store is: the folder of an embedded one, or the catalog of one on DuckLake."""

import re
from dataclasses import dataclass
from pathlib import Path

from curate.errors import ConfigurationError

LAKE_PREFIX = "ducklake:"
DATA_FOLDER = "data"
_CATALOG = "ducklake:postgres:"
_SECRET = re.compile(r"password\s*=|//[^/@]*:[^/@]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LakeAddress:
    """A store on DuckLake.

    `catalog` is how PostgreSQL is reached, as libpq takes it (`dbname=curate host=…` or `postgresql://…`), and holds no
    secret. `folder` is where this machine keeps what is no row: the journal and the checkpoints. `data` is where
    Parquet goes when the lake is made ("" = `data/` inside the folder); the catalog remembers it.
    """

    catalog: str
    folder: Path
    data: str = ""

    @property
    def data_path(self) -> str:
        """Where Parquet goes when this address makes the lake."""
        return self.data or str(self.folder.resolve() / DATA_FOLDER)

    def __str__(self) -> str:
        """The address as a person writes it."""
        return _CATALOG + self.catalog


Address = Path | LakeAddress


def is_lake(text: str) -> bool:
    """Whether an address names a store on DuckLake."""
    return text.startswith(LAKE_PREFIX)


def store_address(text: str, project: Path, *, folder: str = "curate-lake", data: str = "") -> Address:
    """Read the address of a store; `project` is what relative paths are relative to, `folder` and `data` are a lake's.

    >>> store_address("curate-store", Path("/home/me"))
    PosixPath('/home/me/curate-store')
    >>> store_address("ducklake:postgres:dbname=curate", Path("/home/me")).folder
    PosixPath('/home/me/curate-lake')

    Raises:
        ConfigurationError: the catalog is no PostgreSQL, or the address holds a password.
    """
    if not is_lake(text):
        return project / Path(text).expanduser()
    if not text.startswith(_CATALOG):
        raise ConfigurationError(
            "a store on DuckLake needs a PostgreSQL catalog, for several processes to write to it",
            hint=f'store = "{_CATALOG}dbname=curate host=localhost"',
        )
    if _SECRET.search(text):
        raise ConfigurationError(
            "the store's address holds a password, and addresses are shown",
            unchanged="nothing was read or written",
            hint="take it out and set PGPASSWORD, or name a file with PGPASSFILE",
        )
    where = data if not data or "://" in data else str((project / Path(data).expanduser()).resolve())
    return LakeAddress(text.removeprefix(_CATALOG), project / Path(folder).expanduser(), where)


def local_folder(address: Address) -> Path:
    """Return the folder of this machine that belongs to a store: all of an embedded one, a lake's journal and such."""
    return address if isinstance(address, Path) else address.folder


def embedded_folder(address: Address, what: str, hint: str) -> Path:
    """Return the folder of an embedded store, for `what` cannot be done on a lake.

    Raises:
        ConfigurationError: the store lies on DuckLake; `hint` says what can be done instead.
    """
    if isinstance(address, Path):
        return address
    raise ConfigurationError(
        f"{what} is for the embedded store only, and this one lies on DuckLake",
        unchanged="nothing was changed",
        hint=hint,
    )
