"""A lake whose Parquet lies on S3: a real S3 server of this machine, and secrets that stay in the environment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import UsageError
from curate.store.address import LakeAddress
from curate.store.care.garbage import collect_garbage
from curate.store.comparison import differences
from curate.store.copy import copy_store
from curate.store.reader import Reader
from curate.store.store import Store
from curate.store.write import Write

SECRET = "a-secret-key-of-s3"


@pytest.fixture
def bucket(make_bucket: Callable[..., Any]) -> Any:
    return make_bucket("lake", SECRET)


def test_a_lake_on_object_storage(
    bucket: Any, postgres: Any, tmp_path: Path, make: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    address = LakeAddress(postgres.create_database(), tmp_path / "lake", "s3://lake/some/place")
    store = Store.open(address, create=True, lease_timeout=60.0, command="pytest")
    ids = make.ids(*range(30))
    for start in (0, 10):
        batch = make.items(ids[start : start + 20])
        store.commit(Write("test", {"items": batch}))
    keys = [entry["Key"] for entry in bucket.list_objects_v2(Bucket="lake")["Contents"]]
    assert keys
    assert all(key.startswith("some/place/main/items/") for key in keys)
    assert not list(address.folder.rglob("*.parquet"))
    # Whoever reads needs the catalog's address and no more: it remembers where the files lie.
    with Reader(LakeAddress(address.catalog, tmp_path / "nowhere")) as reader:
        assert reader.query("SELECT count(DISTINCT item_id) AS n FROM items")["n"].to_pylist() == [30]
        settings = reader.query(
            "SELECT name, value FROM duckdb_settings() UNION ALL SELECT name, secret_string FROM duckdb_secrets()"
        )
        assert SECRET not in str(settings.to_pylist())
        with pytest.raises(UsageError):
            reader.ask("FROM read_parquet('s3://other/file.parquet')")
    assert {entry.kind for entry in collect_garbage(store)} == {"small files"}
    copy_store(address, tmp_path / "copy", lease_timeout=60.0)
    with Reader(address) as one, Reader(tmp_path / "copy") as other:
        assert differences(one, other) == []
    assert SECRET not in postgres.dump(address.catalog.split()[0].partition("=")[2])
    assert SECRET not in str(capfd.readouterr())
