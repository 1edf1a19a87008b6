"""The tables of a store: columns, natural keys and what may differ between two runs over the same input.

Nothing here needs what DuckLake lacks (fixed-size arrays, enums, checks, primary keys, sequences, indexes).
"""

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

EVENTS = pa.list_(pa.struct([("time", pa.float64()), ("type", pa.int32())]))
_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    EVENTS: "STRUCT(time DOUBLE, type INTEGER)[]",
    pa.list_(pa.string()): "VARCHAR[]",
    pa.list_(pa.float32()): "FLOAT[]",
    pa.list_(pa.int32()): "INTEGER[]",
}
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Table:
    """One table: its Arrow schema, its natural key (a second row with the same key is not added) and its volatile part.

    `volatile` columns (times, attempts, costs) and whole `volatile_table`s are left out when two stores are compared.
    An empty key means that every row is new.
    """

    name: str
    columns: tuple[tuple[str, pa.DataType], ...]
    key: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    volatile_table: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema with the two columns that every table ends with."""
        return pa.schema([*self.columns, ("run_id", pa.string()), ("commit_number", pa.int64())])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table's own columns, in order."""
        return tuple(name for name, _ in self.columns)

    def create_statement(self) -> str:
        """The SQL that creates the table."""
        columns = ", ".join(f'"{field.name}" {_SQL_TYPES[field.type]}' for field in self.schema)
        return f'CREATE TABLE IF NOT EXISTS "{self.name}" ({columns})'

    def nulls(self) -> dict[str, str]:
        """The SQL of one null for each column by its name, typed and named like it."""
        return {field.name: f'CAST(NULL AS {_SQL_TYPES[field.type]}) AS "{field.name}"' for field in self.schema}


_S, _I, _F, _B = pa.string(), pa.int64(), pa.float64(), pa.binary()

# fmt: off
ITEMS = Table(
    "items",
    (
        ("item_id", _S), ("modality", _S), ("text", _S), ("image", _B), ("events", EVENTS), ("time_unit", _S),
        ("size", _I),
    ),
    key=("item_id",),
)
ORIGINS = Table(
    "origins",
    (("item_id", _S), ("source", _S), ("locator", _S), ("entity", _S), ("licence", _S), ("metadata", _S)),
    key=("item_id", "source", "locator"),
)
RESTATEMENTS = Table(
    "restatements",
    (("item_id", _S), ("source", _S), ("locator", _S), ("licence", _S), ("metadata", _S), ("turn", _I)),
    key=("item_id", "source", "locator", "turn"),
)
SOURCES = Table(
    "sources", (("source", _S), ("address", _S), ("modality", _S), ("format", _S), ("mapping", _S)),
    key=("source", "address", "modality", "format", "mapping"),
)
REJECTS = Table(
    "rejects", (("source", _S), ("locator", _S), ("reason", _S), ("detail", _S), ("fingerprint", _S)),
    key=("source", "locator", "reason", "fingerprint"),
)
SIGNATURES = Table("signatures", (("item_id", _S), ("method", _S), ("signature", _S)), key=("item_id", "method"))
BANDS = Table("bands", (("band", _I), ("item_id", _S)))
DUPLICATES = Table(
    "duplicates", (("item_id", _S), ("duplicate_of", _S), ("similarity", _F), ("method", _S)),
    key=("item_id", "duplicate_of", "method"),
)
CLUSTERS = Table("clusters", (("item_id", _S), ("representative", _S), ("method", _S)))
PROTOCOLS = Table("protocols", (("protocol", _S), ("version", _S), ("definition", _S)), key=("protocol", "version"))
ATTRIBUTES = Table(
    "attributes",
    (("protocol", _S), ("protocol_version", _S), ("attribute", _S), ("question", _S), ("values", pa.list_(_S))),
    key=("protocol", "protocol_version", "attribute"),
)
ANNOTATIONS = Table(
    "annotations",
    (
        ("item_id", _S), ("protocol", _S), ("protocol_version", _S), ("attribute", _S), ("value", _S),
        ("confidence", _F), ("annotator", _S), ("annotator_kind", _S), ("annotator_version", _S),
    ),
    key=("item_id", "protocol", "protocol_version", "attribute", "value", "annotator", "annotator_version"),
)
ABSTENTIONS = Table(
    "abstentions",
    (
        ("item_id", _S), ("protocol", _S), ("protocol_version", _S), ("attribute", _S), ("reason", _S),
        ("annotator", _S), ("annotator_version", _S),
    ),
    key=("item_id", "protocol", "protocol_version", "attribute", "reason", "annotator", "annotator_version"),
)
CONSENSUS = Table(
    "consensus",
    (
        ("item_id", _S), ("protocol", _S), ("protocol_version", _S), ("attribute", _S), ("value", _S),
        ("posterior", _F), ("method", _S), ("votes", _I),
    ),
)
AUDITS = Table(
    "audits", (("item_id", _S), ("protocol", _S), ("protocol_version", _S), ("attribute", _S), ("round", _I)),
    key=("item_id", "protocol", "protocol_version", "attribute"),
)
GATES = Table(
    "gates",
    (
        ("protocol", _S), ("protocol_version", _S), ("attribute", _S), ("annotator", _S), ("annotator_version", _S),
        ("look", _I), ("audited", _I), ("right", _I), ("accuracy", _F), ("low", _F), ("high", _F), ("method", _S),
        ("bar", _F), ("level", _F), ("bound", _F), ("verdict", _S), ("reason", _S), ("since", _I), ("passed_at", _I),
    ),
    key=("protocol", "protocol_version", "attribute", "annotator", "look"),
)
QUEUE = Table(
    "queue",
    (
        ("item_id", _S), ("protocol", _S), ("protocol_version", _S), ("attribute", _S), ("kind", _S), ("priority", _F),
        ("answers", _I), ("round", _I),
    ),
    key=("item_id", "protocol", "protocol_version", "attribute", "round"),
)
ACQUISITIONS = Table(
    "acquisitions",
    (
        ("item_id", _S), ("policy", _S), ("version", _S), ("protocol", _S), ("protocol_version", _S), ("attribute", _S),
        ("place", _I), ("predicted", _S), ("utility", _F), ("propensity", _F), ("reason", _S),
    ),
    key=("item_id", "policy"),
)
POLICIES = Table(
    "policies",
    (
        ("policy", _S), ("version", _S), ("seen", _I), ("spent", _I), ("learned", _I), ("silent", _I), ("state", _S),
        ("checkpoint", _S),
    ),
)
FAILURES = Table(
    "failures", (("item_id", _S), ("step", _S), ("actor", _S), ("reason", _S)),
    key=("item_id", "step", "actor", "reason"),
)
REQUESTS = Table(
    "requests",
    (
        ("request_key", _S), ("address", _S), ("model", _S), ("payload", _S), ("body", _S), ("prompt_tokens", _I),
        ("completion_tokens", _I), ("cached_tokens", _I), ("seconds", _F), ("attempts", _I), ("received_at", _TIME),
    ),
    key=("request_key",),
    # The next batch is asked while one is committed: which commit holds an answer depends on when it came.
    volatile=("address", "cached_tokens", "seconds", "attempts", "received_at", "commit_number"),
)
EMBEDDINGS = Table(
    "embeddings",
    (("item_id", _S), ("encoder_version", _S), ("dimension", _I), ("vector", pa.list_(pa.float32()))),
    key=("item_id", "encoder_version"),
)
CODES = Table(
    "codes", (("item_id", _S), ("keys_version", _S), ("codes", pa.list_(pa.int32()))),
    key=("item_id", "keys_version"),
)
SCORES = Table(
    "scores", (("item_id", _S), ("selector", _S), ("selector_version", _S), ("target", _S), ("score", _F)),
    key=("item_id", "selector", "selector_version", "target"),
)
DECISIONS = Table("decisions", (("item_id", _S), ("step", _S), ("action", _S), ("reason", _S)))
SNAPSHOTS = Table(
    "snapshots",
    (("snapshot", _S), ("number", _I), ("content_hash", _S), ("size", _I), ("spec", _S), ("spec_hash", _S),
     ("as_of", _I), ("funnel", _S)),
    key=("snapshot", "number"),
)
SNAPSHOT_ITEMS = Table(
    "snapshot_items",
    (("snapshot", _S), ("number", _I), ("item_id", _S), ("label", _S), ("split", _S), ("score", _F)),
    key=("snapshot", "number", "item_id"),
)
ANCHORS = Table("anchors", (("item_id", _S), ("anchor", _S)), key=("item_id",))
CHECKPOINTS = Table(
    "checkpoints",
    (
        ("checkpoint", _S), ("learner", _S), ("learner_version", _S), ("parent", _S), ("snapshot", _S), ("number", _I),
        ("content_hash", _S), ("encoder_version", _S), ("classes", pa.list_(_S)), ("items", _I), ("size", _I),
    ),
    key=("learner", "snapshot", "number", "checkpoint"),
)
PROMOTIONS = Table(
    "promotions",
    (
        ("learner", _S), ("learner_version", _S), ("encoder_version", _S), ("snapshot", _S), ("turn", _I),
        ("checkpoint", _S), ("number", _I), ("served", _S), ("action", _S), ("reason", _S),
    ),
    key=("learner", "learner_version", "encoder_version", "snapshot", "turn"),
)
DIMENSIONS = Table(
    "dimensions",
    (
        ("structure", _S), ("version", _S), ("of_class", _S), ("place", _I), ("dimension", _S),
        ("attributes", pa.list_(_S)), ("definition", _S),
    ),
)
MEMBERSHIPS = Table(
    "memberships",
    (
        ("item_id", _S), ("structure", _S), ("version", _S), ("dimension", _S), ("attribute", _S), ("quote", _S),
        ("confidence", _F), ("method", _S),
    ),
    key=("item_id", "structure", "version", "dimension"),
)
METRICS = Table(
    "metrics",
    (
        ("subject", _S), ("checkpoint", _S), ("snapshot", _S), ("number", _I), ("name", _S), ("slice", _S),
        ("value", _F), ("formula", _S),
    ),
    key=("subject", "checkpoint", "snapshot", "number", "name", "slice"),
)
TOMBSTONES = Table(
    "tombstones", (("item_id", _S), ("reason", _S), ("erased_at", _TIME)), key=("item_id",), volatile=("erased_at",)
)
LEDGER = Table(
    "ledger", (("step", _S), ("step_version", _S), ("parameters", _S), ("item_id", _S)),
    key=("step", "step_version", "parameters", "item_id"),
)
CURSORS = Table("cursors", (("consumer", _S), ("key", _S), ("position", _S)))
RUNS = Table(
    "runs", (("command", _S), ("version", _S), ("host", _S), ("process", _I), ("started_at", _TIME)),
    volatile_table=True,
)
COMMITS = Table(
    "commits", (("step", _S), ("rows", _S), ("seconds", _F), ("committed_at", _TIME)),
    volatile=("rows", "seconds", "committed_at"),  # answers of a batch asked ahead go in with an earlier one's, or not
)

TABLES: tuple[Table, ...] = (
    ITEMS, ORIGINS, SOURCES, REJECTS, SIGNATURES, BANDS, DUPLICATES, CLUSTERS, PROTOCOLS, ATTRIBUTES, ANNOTATIONS,
    ABSTENTIONS, CONSENSUS, AUDITS, GATES, QUEUE, ACQUISITIONS, POLICIES, FAILURES, REQUESTS, EMBEDDINGS, SCORES,
    DECISIONS, SNAPSHOTS, SNAPSHOT_ITEMS, ANCHORS, CHECKPOINTS, PROMOTIONS, DIMENSIONS, MEMBERSHIPS, CODES,
    RESTATEMENTS, METRICS, TOMBSTONES, LEDGER, CURSORS, RUNS, COMMITS,
)
# fmt: on


@cache
def table(name: str) -> Table:
    """Return the table of this name.

    Raises:
        KeyError: no table has this name.
    """
    return {entry.name: entry for entry in TABLES}[name]
