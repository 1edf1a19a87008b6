"""Where a store is, in OpenLineage's words: a folder, or a lake by its catalog and where its Parquet lies.

Whoever opens a lake, from whatever machine, names it the same; its name holds no user and no secret.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from curate.store.address import Address, LakeAddress
from curate.store.reader import Reader

_SETTING = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")


@dataclass(frozen=True, slots=True)
class StorePlace:
    """The namespace of a store's datasets, what their names begin with, and a lake's folder or bucket of Parquet."""

    namespace: str
    prefix: str = ""
    data: str = ""

    def symlink(self, table: str) -> tuple[str, str] | None:
        """Return namespace and name of the folder that holds a lake's table; None for another store."""
        if not self.data:
            return None
        parts = urlsplit(self.data)
        folder = f"{parts.path.rstrip('/')}/main/{table}"
        return (f"{parts.scheme}://{parts.netloc}", folder.lstrip("/")) if parts.scheme else ("file", folder)


def store_place(address: Address, reader: Reader) -> StorePlace:
    """Return the place of a store that is being read."""
    if isinstance(address, LakeAddress):
        return StorePlace(catalog_name(address.catalog, os.environ), data=reader.location)
    return StorePlace("file", f"{address.absolute().as_posix()}/")


def catalog_name(catalog: str, environment: Mapping[str, str]) -> str:
    """Name a catalog by server and database, as libpq would find them.

    >>> catalog_name("dbname=curate host=db user=me", {})
    'ducklake:postgres://db:5432/curate'
    >>> catalog_name("postgresql://me@db:5433/curate?sslmode=require", {})
    'ducklake:postgres://db:5433/curate'
    """
    known = _settings(catalog)
    if "service" in known:
        return f"ducklake:postgres:service={known['service']}"
    user = known.get("user") or environment.get("PGUSER", "")
    host = known.get("host") or known.get("hostaddr") or environment.get("PGHOST") or "localhost"
    port = known.get("port") or environment.get("PGPORT") or "5432"
    database = known.get("dbname") or environment.get("PGDATABASE") or user
    return f"ducklake:postgres://{host}:{port}/{database}"


def _settings(catalog: str) -> dict[str, str]:
    if "://" not in catalog:
        return {name: re.sub(r"\\(.)", r"\1", value.strip("'")) for name, value in _SETTING.findall(catalog)}
    parts = urlsplit(catalog)
    host, _, port = parts.netloc.rpartition("@")[2].partition(":")
    stated = {"host": unquote(host), "port": port, "dbname": unquote(Path(parts.path).name), "user": parts.username}
    return {name: value for name, value in {**stated, **dict(parse_qsl(parts.query))}.items() if value}
