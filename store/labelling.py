"""What the labelling page reads of a store: open questions, contents, what annotators and people have claimed."""

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa

from curate.store.applicable import APPLICABLE, Conditions, register_conditions
from curate.store.reader import Reader
from curate.store.silence import SILENT
from curate.types import ItemContent, PersonAnswer, Proposal, Question

_BY_ID = """
    SELECT i.item_id, q.attribute, 'label' AS kind, 0.0 AS priority, q.place
    FROM items i CROSS JOIN asked_attributes q ANTI JOIN dropped USING (item_id)
    WHERE list_contains($modalities, i.modality) AND {applies}"""
# Round 0 is that of online active learning: its questions stay open until they are answered.
_FROM_QUEUE = """
    SELECT q.item_id, q.attribute, q.kind, q.priority, a.place
    FROM queue q JOIN asked_attributes a USING (attribute) ANTI JOIN dropped USING (item_id)
    JOIN items i USING (item_id)
    WHERE q.protocol = $protocol AND q.protocol_version = $version AND list_contains($modalities, i.modality)
      AND {applies}
      AND (q.round = 0
        OR q.round = (SELECT max(round) FROM queue WHERE protocol = $protocol AND protocol_version = $version))
    QUALIFY row_number() OVER (PARTITION BY q.item_id, q.attribute ORDER BY q.round DESC) = 1"""
_APPLIES = """(q.attribute NOT IN (SELECT attribute FROM conditions)
        OR (i.item_id, q.attribute) IN (SELECT (item_id, attribute) FROM applicable))"""
_OPEN = "SELECT item_id, attribute, kind FROM ({questions}) ANTI JOIN known_places USING (item_id, attribute)"
_ORDER = " ORDER BY priority DESC, item_id, place LIMIT $count"
_KIND = """
    SELECT kind FROM queue WHERE item_id = ? AND attribute = ? AND protocol = ? AND protocol_version = ?
    ORDER BY kind = 'audit' DESC, round DESC LIMIT 1"""
_WANTED = """
    SELECT item_id, attribute, answers FROM queue WHERE protocol = $protocol AND protocol_version = $version
      AND answers > 1
      AND round = (SELECT max(round) FROM queue WHERE protocol = $protocol AND protocol_version = $version)"""
_PEOPLE = f"""
    SELECT item_id, attribute, annotator AS person, value, '' AS reason,
        coalesce(TRY_CAST(annotator_version AS BIGINT), 1) AS turn, commit_number
    FROM annotations WHERE annotator_kind = 'human' AND protocol = $protocol AND protocol_version = $version
    UNION ALL
    SELECT item_id, attribute, annotator, '', reason, coalesce(TRY_CAST(annotator_version AS BIGINT), 1), commit_number
    FROM abstentions WHERE protocol = $protocol AND protocol_version = $version AND reason <> '{SILENT}'
    ORDER BY commit_number, turn, reason, item_id, attribute, person"""
_OTHERS = """
    SELECT annotator FROM annotations WHERE annotator_kind <> 'human' GROUP BY ALL
    UNION SELECT source FROM sources GROUP BY ALL"""
_CLAIM = ("protocol", "protocol_version", "attribute", "value", "confidence", "annotator", "annotator_kind")


class Asked:
    """Which questions there are: a protocol's version, its attributes in order, and the modalities of the items.

    `conditions` say by attribute when it is asked; where it is not named, always.
    """

    def __init__(
        self,
        protocol: str,
        version: str,
        attributes: Sequence[str],
        modalities: Sequence[str],
        conditions: Conditions | None = None,
    ) -> None:
        self.conditions = {name: parents for name, parents in (conditions or {}).items() if parents}
        self.protocol = protocol
        self.version = version
        self.attributes = list(attributes)
        self.modalities = list(modalities)


def open_questions(
    reader: Reader, asked: Asked, without: Collection[tuple[str, str]], count: int
) -> Sequence[Question]:
    """Return the next questions without those of known places: the queue's newest round, else all items by their ids.

    Cost: one pass over the items' ids; memory: DuckDB's, and the known places.
    """
    found = _ask(reader, asked, without, _OPEN + _ORDER, count=count)
    return [Question(**row) for row in found.to_pylist()]


def count_open_questions(reader: Reader, asked: Asked, without: Collection[tuple[str, str]]) -> int:
    """Return how many questions there are besides those of known places."""
    return int(_ask(reader, asked, without, f"SELECT count(*) AS n FROM ({_OPEN})")["n"][0].as_py())


def question_kind(reader: Reader, asked: Asked, item_id: str, attribute: str) -> str:
    """Return the kind of a question; what was ever an audit is one."""
    if not _has_queue(reader):
        return "label"
    found = reader.query(_KIND, [item_id, attribute, asked.protocol, asked.version])
    return str(found["kind"][0]) if len(found) else "label"


def wanted_answers(reader: Reader, asked: Asked) -> dict[tuple[str, str], int]:
    """Return how many people's words settle a question of the queue's newest round, where one does not."""
    if not _has_queue(reader):
        return {}
    found = reader.query(_WANTED, {"protocol": asked.protocol, "version": asked.version}).to_pylist()
    return {(row["item_id"], row["attribute"]): row["answers"] for row in found}


def item_content(reader: Reader, item_id: str) -> ItemContent | None:
    """Return what an item holds; None where there is none."""
    columns = ["modality", "text", "image", "events", "time_unit"]
    for row in reader.find("items", "item_id", [item_id], columns).to_pylist():
        events = tuple((event["time"], event["type"]) for event in row["events"] or ())
        return ItemContent(
            item_id, row["modality"], row["text"] or "", row["image"] or b"", events, row["time_unit"] or ""
        )
    return None


def proposals(reader: Reader, asked: Asked, question: Question) -> Sequence[Proposal]:
    """Return each annotator's newest claim about a question, people's left out; a newer silence outdoes it."""
    silent = _silences(reader, asked, question)
    found = reader.find("annotations", "item_id", [question.item_id], [*_CLAIM, "commit_number"]).to_pylist()
    newest = {}
    for row in sorted(found, key=lambda row: (row["commit_number"], row["value"])):
        of_protocol = (row["protocol"], row["protocol_version"]) == (asked.protocol, asked.version)
        claims = row["attribute"] == question.attribute and row["annotator_kind"] != "human"
        if row["commit_number"] < silent.get(row["annotator"], 0):
            continue
        if claims and (of_protocol or row["annotator_kind"] == "source"):
            newest[row["annotator"]] = Proposal(row["value"], row["confidence"], row["annotator"])
    return [newest[name] for name in sorted(newest)]


def _silences(reader: Reader, asked: Asked, question: Question) -> dict[str, int]:
    """Return in which commit an annotator had nothing more to say about a question."""
    names = ["annotator", "protocol", "protocol_version", "attribute", "reason", "commit_number"]
    found = reader.find("abstentions", "item_id", [question.item_id], names).to_pylist()
    wanted = (asked.protocol, asked.version, question.attribute, SILENT)
    silent: dict[str, int] = {}
    for row in found:
        if (row["protocol"], row["protocol_version"], row["attribute"], row["reason"]) == wanted:
            silent[row["annotator"]] = max(silent.get(row["annotator"], 0), row["commit_number"])
    return silent


def people_answers(reader: Reader, asked: Asked) -> Iterator[PersonAnswer]:
    """Yield what people said to the protocol's questions, as far as commits hold it, in their order."""
    parameters = {"protocol": asked.protocol, "version": asked.version}
    for batch in reader.stream(_PEOPLE, parameters):
        for row in batch.to_pylist():
            row.pop("commit_number")
            yield PersonAnswer("", protocol=asked.protocol, protocol_version=asked.version, answered_at="", **row)


def other_names(reader: Reader) -> frozenset[str]:
    """Return the names that are no person's: annotators and sources."""
    return frozenset(name for name in reader.query(_OTHERS)["annotator"].to_pylist() if name)


def _has_queue(reader: Reader) -> bool:
    query = "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views()"
    return "queue" in reader.query(query)[0].to_pylist() and bool(len(reader.query("SELECT 1 FROM queue LIMIT 1")))


def _ask(
    reader: Reader, asked: Asked, without: Collection[tuple[str, str]], query: str, **parameters: object
) -> pa.Table:
    places = list(range(len(asked.attributes)))
    reader.register(
        "asked_attributes", pa.table({"attribute": pa.array(asked.attributes, pa.string()), "place": places})
    )
    known = {"item_id": [item for item, _ in without], "attribute": [attribute for _, attribute in without]}
    reader.register("known_places", pa.table({name: pa.array(v, pa.string()) for name, v in known.items()}))
    register_conditions(reader, asked.conditions)
    parameters |= {"modalities": asked.modalities, "protocol": asked.protocol, "version": asked.version}
    questions = (_FROM_QUEUE if _has_queue(reader) else _BY_ID).format(applies=_APPLIES)
    return reader.query(f"WITH {APPLICABLE} " + query.format(questions=questions), parameters | {"annotator": ""})
