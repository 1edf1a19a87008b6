"""Connections to a lake: DuckDB with the extensions that come as packages, and the catalog attached.

Nothing is fetched. Secrets come from the environment: PGPASSWORD and PGPASSFILE are read by PostgreSQL's own library,
AWS_… variables become a secret of DuckDB's in memory. No statement, message or setting holds one.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from curate.errors import ConfigurationError, CurateError, MissingExtraError, ServiceError
from curate.store.address import LakeAddress
from curate.store.commit_view import quoted

LAKE = "lake"
_EXTENSIONS = ("postgres_scanner", "ducklake", "httpfs")
_S3_SETTINGS = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token")
_MISSING = "explicitly disabled"
_REFUSED = ("FATAL:", "fe_sendauth")


class NoLakeError(CurateError):
    """There is no lake in the catalog's database yet."""


@contextmanager
def reached(address: LakeAddress) -> Iterator[None]:
    """Explain within the block what keeps the catalog from being reached.

    Raises:
        NoLakeError: its database holds no lake.
        ConfigurationError: PostgreSQL refuses user, password or database, or what lies there is no lake.
        ServiceError: nobody answers there.
    """
    try:
        yield
    except duckdb.Error as error:
        raise _explained(address, str(error)) from error


def connect_lake(address: LakeAddress, *, read_only: bool, create: bool = False) -> duckdb.DuckDBPyConnection:
    """Return a connection in which the lake is attached under the name `LAKE`; with `create`, one is made.

    Cost: about a third of a second, which is why the callers keep it.

    Raises:
        MissingExtraError: the packages of the extra `lake` are not installed, or not for this DuckDB.
        NoLakeError, ConfigurationError, ServiceError: as `reached` says.
    """
    connection = _connect()
    try:
        # Where the Parquet lies shows only when the lake is attached, and then it must be reachable.
        _use_object_storage(connection)
        with reached(address):
            connection.execute(_attach(address, read_only=read_only, create=create))
            data = data_path(connection)
        if address.data and _as_folder(address.data) != data:
            raise ConfigurationError(
                f"the lake {address} keeps its Parquet in {data}, not in {address.data}",
                unchanged="nothing was read or written",
                hint=f'set data = "{data}" under [lake], or leave it out',
            )
    except BaseException:
        connection.close()
        raise
    return connection


def connect_queue(address: LakeAddress) -> duckdb.DuckDBPyConnection:
    """Return a connection to the catalog's PostgreSQL itself, attached as `queue`; whether a lake is there or not.

    Raises:
        MissingExtraError, ConfigurationError, ServiceError: as `connect_lake` does.
    """
    connection = _connect()
    try:
        with reached(address):
            connection.execute(f"ATTACH {quoted(address.catalog)} AS queue (TYPE postgres, READ_ONLY)")
    except BaseException:
        connection.close()
        raise
    return connection


def data_path(connection: duckdb.DuckDBPyConnection) -> str:
    """Return where a connected lake keeps its Parquet; it ends with a slash."""
    [(path,)] = connection.execute(f"SELECT data_path FROM ducklake_settings('{LAKE}')").fetchall()
    return str(path)


def _use_object_storage(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection reach S3 as the environment says; what it says is not to be seen in the connection."""
    for name in _S3_SETTINGS:  # the extension takes them from the environment, where `duckdb_settings()` shows them
        connection.execute(f"RESET GLOBAL {name}")
    options = _secret_options(os.environ)
    for name, value in options.items():
        connection.execute(f"SET VARIABLE {name.lower()} = ?", [value])
    stated = "".join(f", {name} getvariable('{name.lower()}')" for name in options)
    connection.execute(f"CREATE OR REPLACE TEMPORARY SECRET object_storage (TYPE s3{stated})")
    for name in options:
        connection.execute(f"RESET VARIABLE {name.lower()}")


def _secret_options(environment: Mapping[str, str]) -> dict[str, str | bool]:
    """What DuckDB calls what the environment says as every S3 client reads it."""
    options: dict[str, str | bool] = {
        "KEY_ID": environment.get("AWS_ACCESS_KEY_ID", ""),
        "SECRET": environment.get("AWS_SECRET_ACCESS_KEY", ""),
        "SESSION_TOKEN": environment.get("AWS_SESSION_TOKEN", ""),
        "REGION": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION", ""),
    }
    address = urlsplit(environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", ""))
    if address.netloc:
        options |= {"ENDPOINT": address.netloc, "URL_STYLE": "path", "USE_SSL": address.scheme == "https"}
    return {name: value for name, value in options.items() if value != ""}


def _connect() -> duckdb.DuckDBPyConnection:
    # The extensions are files of installed packages, trusted like those packages' other code: reading their signatures
    # would cost half a second each.
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_unsigned_extensions": True,
    }
    connection = duckdb.connect(":memory:", config=settings)
    # In `python -c` and in notebooks DuckDB would draw on standard output, where data belong.
    connection.execute("SET enable_progress_bar = false")
    for name in _EXTENSIONS:
        _load(connection, name)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def _load(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    package = find_spec(f"duckdb_extension_{name}")
    folders = [Path(place) for place in package.submodule_search_locations or ()] if package else []
    for folder in folders:
        file = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if file.is_file():
            connection.execute(f"LOAD {quoted(str(file))}")
            return
    raise MissingExtraError(f"a store on DuckLake (extension {name} of DuckDB {duckdb.__version__})", "lake")


def _attach(address: LakeAddress, *, read_only: bool, create: bool) -> str:
    options = ["READ_ONLY"] if read_only else []
    # A lake that is there keeps its path; `connect_lake` compares.
    options += [f"DATA_PATH {quoted(_as_folder(address.data_path))}"] if create else ["CREATE_IF_NOT_EXISTS false"]
    return f"ATTACH {quoted(f'ducklake:postgres:{address.catalog}')} AS {LAKE} ({', '.join(options)})"


def _as_folder(path: str) -> str:
    return path.rstrip("/") + "/"


def _explained(address: LakeAddress, message: str) -> CurateError:
    line = " ".join(message.split())
    reason = line.rpartition(" failed: ")[2][-300:]
    unchanged = "nothing was read or written"
    if _MISSING in line:
        return NoLakeError(f"there is no lake in {address} yet", hint="curate run")
    if any(word in line for word in _REFUSED):
        hint = "PGPASSWORD or PGPASSFILE gives the password; createdb makes a database"
        return ConfigurationError(f"PostgreSQL refuses {address}: {reason}", unchanged=unchanged, hint=hint)
    if "Unable to connect" in line:
        return ServiceError(
            f"PostgreSQL does not answer at {address}: {reason}",
            unchanged=unchanged,
            hint="start it, or correct the address",
        )
    return ConfigurationError(f"the lake {address} cannot be attached: {reason}", unchanged=unchanged)
