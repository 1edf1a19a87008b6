"""The verb `sql`: a question to the published snapshot, answered as a table, CSV, TSV or JSON lines."""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import click

from curate.cli.invocation import Invocation
from curate.cli.look import as_of
from curate.cli.output import emit, emit_json, emit_lines, json_text
from curate.cli.verb import pass_invocation, verb
from curate.console import is_terminal, table_lines

_TABLE_ROWS = 200
Row = dict[str, Any]


@verb(
    "sql",
    examples=[
        "curate sql 'SHOW TABLES'",
        "curate sql 'SELECT reason, count(*) AS items FROM dropped GROUP BY ALL'",
        "curate sql 'FROM scores ORDER BY score DESC' --format tsv > scores.tsv",
        "curate sql - < question.sql",
    ],
    exits=(4,),
)
@click.argument("query")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["table", "csv", "tsv", "json"]),
    help="table by default on a terminal, csv by default off it.",
)
@pass_invocation
def sql_verb(invocation: Invocation, query: str, layout: str | None) -> None:
    """Ask the published snapshot a question in SQL; nothing can be changed.

    QUERY is one SELECT (or SHOW, DESCRIBE, FROM …) in DuckDB's SQL; - reads it from standard input. The answer never
    waits for a writer; standard error says which commit it shows and how old that is.
    """
    from curate.store.reader import Reader

    question = sys.stdin.read() if query == "-" else query
    chosen = "json" if invocation.as_json else layout or ("table" if is_terminal(sys.stdout) else "csv")
    with Reader(invocation.existing_store()) as reader:
        answer = reader.ask(question)
        rows = (row for batch in answer for row in batch.to_pylist())
        _LAYOUTS[chosen](invocation, answer.schema.names, rows)
        invocation.narrate(as_of(reader.commit_number, reader.committed_at))


def _as_table(invocation: Invocation, columns: list[str], rows: Iterator[Row]) -> None:
    shown = [[_scalar(row[column]) for column in columns] for row in islice(rows, _TABLE_ROWS)]
    emit_lines(table_lines(columns, shown))
    if next(rows, None) is not None:
        invocation.narrate(f"these are the first {_TABLE_ROWS} rows; --format csv gives all")


def _as_json(invocation: Invocation, columns: list[str], rows: Iterable[Row]) -> None:
    for row in rows:
        emit_json(row)


def _as_csv(invocation: Invocation, columns: list[str], rows: Iterable[Row]) -> None:
    _delimited(columns, rows, ",")


def _as_tsv(invocation: Invocation, columns: list[str], rows: Iterable[Row]) -> None:
    _delimited(columns, rows, "\t")


def _delimited(columns: list[str], rows: Iterable[Row], delimiter: str) -> None:
    emit(_record(columns, delimiter))
    for row in rows:
        emit(_record([_scalar(row[column]) for column in columns], delimiter))


def _record(values: Iterable[Any], delimiter: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="").writerow(values)
    return buffer.getvalue()


def _scalar(value: Any) -> Any:
    """A cell: numbers and texts as they are, bytes as hexadecimal digits, anything nested as JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return json_text(value) if isinstance(value, dict | list) else value


_LAYOUTS: dict[str, Callable[[Invocation, list[str], Iterator[Row]], None]] = {
    "table": _as_table,
    "csv": _as_csv,
    "tsv": _as_tsv,
    "json": _as_json,
}
