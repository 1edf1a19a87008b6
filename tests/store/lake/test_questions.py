"""A user's question over a lake: the store's tables answer it, and nothing else that the connection could reach."""

from collections.abc import Callable
from typing import Any

import pytest

from curate.errors import UsageError
from curate.store.address import LakeAddress
from curate.store.care.erasure import items_where
from curate.store.store import Store

CATALOG = "__ducklake_metadata_lake"


@pytest.fixture
def filled(store: Store, make: Any, add: Callable[..., int]) -> Store:
    ids = make.ids(1, 2)
    add(items=make.items(ids), origins=make.origins(ids), decisions=make.decisions(ids[:1], "drop"))
    return store


def test_nothing_but_the_store_can_be_asked(filled: Store, lake: LakeAddress) -> None:
    server = lake.catalog.replace("'", "''")
    with filled.reader() as reader:
        refused = [
            f"FROM postgres_scan('{server}', 'pg_catalog', 'pg_database')",
            f"SELECT (SELECT a FROM Postgres_Query('{CATALOG}', 'SELECT pg_read_file(''PG_VERSION'') AS a'))",
            f"WITH a AS (FROM postgres_query('{CATALOG}', 'SELECT 1')) SELECT 1 WHERE EXISTS (FROM a)",
            f"FROM {CATALOG}.public.ducklake_metadata",
            f"DESCRIBE {CATALOG}.public.ducklake_metadata",
            "FROM lake.fences",
            "SELECT 1 UNION ALL SELECT turn FROM lake.main.fences",
            "FROM items JOIN (FROM lake.snapshots()) ON true",
            "FROM ducklake_expire_snapshots('lake', older_than => now())",
            "FROM query('FROM lake.fences')",
            "FROM query_table('lake.fences')",
            "FROM json_execute_serialized_sql(json_serialize_sql('FROM lake.fences'))",
            "FROM duckdb_secrets()",
            f"FROM read_parquet('{lake.data_path}/main/items/*.parquet')",
            "FROM read_text('/etc/hostname')",
            "SELECT * FROM items, LATERAL (FROM glob('/*'))",
            "FROM '/etc/hostname'",
            "FROM sqlite_master('/etc/hostname')",
            "PRAGMA database_list",
            "SET enable_external_access = true",
            "ATTACH 'other.duckdb'",
        ]
        for question in refused:
            with pytest.raises(UsageError):
                reader.ask(question)
            with pytest.raises(UsageError):
                items_where(reader, f"EXISTS ({question})")


def test_what_the_embedded_store_answers_is_answered(filled: Store) -> None:
    with filled.reader() as reader:
        answers = {
            "SELECT count(*) FROM items i JOIN origins USING (item_id)": 2,
            "WITH a AS (FROM dropped) SELECT count(*) FROM a": 1,
            "SELECT sum(n) FROM (SELECT count(*) AS n FROM items GROUP BY modality)": 2,
            "SELECT count(*) FROM items, unnest([1, 2]), range(3)": 12,
            "SELECT count(*) FROM information_schema.tables WHERE table_name = 'items' AND table_type = 'VIEW'": 1,
            "SELECT count(*) FROM (DESCRIBE items) WHERE column_name = 'text'": 1,
            "SELECT count(*) FROM (SHOW TABLES) WHERE name = 'origins'": 1,
            "SELECT list_sum(list_transform([1, 2], x -> x + 1))": 5,
            "SELECT count(*) FROM (SUMMARIZE SELECT size FROM items)": 1,
        }
        for question, value in answers.items():
            assert list(reader.ask(question).read_all().to_pylist()[0].values()) == [value], question
        given = reader.ask("SELECT count(*) AS n FROM items WHERE modality = $kind", {"kind": "text"})
        assert given.read_all().to_pylist() == [{"n": 2}]
