"""Answers of DuckDB as Arrow, streamed by either version.

1.5 streams what `execute` asks, and gathers first what `sql` asks with parameters; 2.0 does it the other way round.
"""

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

Parameters = Sequence[Any] | dict[str, Any]
_EXECUTE_STREAMS = int(duckdb.__version__.partition(".")[0]) < 2


def stream_rows(
    connection: duckdb.DuckDBPyConnection,
    query: str | duckdb.Statement,
    parameters: Parameters = (),
    rows: int = 10_000,
) -> pa.RecordBatchReader:
    """Return the answer as batches of at most `rows` rows, which DuckDB makes as they are read.

    Close it before the connection is used for anything else: 2.0 refuses to go on while an answer is open.
    """
    if _EXECUTE_STREAMS:
        return connection.execute(query, parameters).to_arrow_reader(rows)
    return connection.sql(query, params=parameters).to_arrow_reader(rows)


def read_rows(
    connection: duckdb.DuckDBPyConnection, query: str | duckdb.Statement, parameters: Parameters = ()
) -> pa.Table:
    """Return the whole answer."""
    answer = connection.execute(query, parameters) if _EXECUTE_STREAMS else connection.sql(query, params=parameters)
    return answer.to_arrow_table()
