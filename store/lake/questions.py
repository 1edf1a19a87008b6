"""What a user's question may name on a lake: the views of its commit and functions that reach nothing else.

The connection that reads a lake holds PostgreSQL's catalog too, and DuckDB's `enable_external_access` closes files
alone: without this, `curate sql` could read any table of any PostgreSQL server, and its files, with the rights of who
asks. So a question is parsed before it is run, and refused unless all that it reads is known to be harmless.
"""

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from curate.errors import UsageError

_FUNCTIONS = frozenset(
    (
        "duckdb_columns", "duckdb_functions", "duckdb_keywords", "duckdb_tables", "duckdb_types", "duckdb_views",
        "generate_series", "histogram", "histogram_values", "json_each", "json_tree", "pragma_version", "range",
        "repeat", "repeat_row", "unnest",
    )
)  # fmt: skip
"""Table functions that read no file, no server and no settings, and run no text as SQL (as `query` would)."""
_SCHEMAS = ("", "information_schema")
_HINT = "`curate sql 'SHOW TABLES'` lists the tables"


def refuse_foreign(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse a question that reads anything but the views of the store.

    Raises:
        UsageError: it names a table of another database or schema, or a table function that is not listed here, or it
            is of a kind that cannot be looked through.
    """
    [(text,)] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    parsed = json.loads(text)
    if parsed["error"]:
        raise UsageError(
            f"this question cannot be checked before it runs: {parsed['error_message']}",
            unchanged="nothing was asked",
            hint="write it as one SELECT",
        )
    for name in _foreign(parsed["statements"]):
        raise UsageError(
            f"a question reads the store's tables only, and {name} is none of them",
            unchanged="nothing was asked",
            hint=_HINT,
        )


def _foreign(node: Any) -> Iterator[str]:
    """The names of what a parsed statement reads beyond the views, wherever in it they stand."""
    if isinstance(node, list):
        for entry in node:
            yield from _foreign(entry)
    elif isinstance(node, dict):
        if node.get("type") == "TABLE_FUNCTION":
            yield from _foreign_function(node["function"])
        elif "table_name" in node and "schema_name" in node:
            yield from _foreign_table(node)
        for entry in node.values():
            yield from _foreign(entry)


def _foreign_function(call: dict[str, Any]) -> Iterator[str]:
    name = str(call.get("function_name", "")).lower()
    if name not in _FUNCTIONS or call.get("schema") or call.get("catalog"):
        yield f"{name}()"


def _foreign_table(node: dict[str, Any]) -> Iterator[str]:
    if node["catalog_name"] or node["schema_name"] not in _SCHEMAS:
        yield ".".join(filter(None, (node["catalog_name"], node["schema_name"], node["table_name"])))
