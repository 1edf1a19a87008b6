"""What a new version of an annotator does not say again: its silence outdoes what an older version claimed."""

from collections.abc import Sequence

import pyarrow as pa

from curate.flows.steps.annotators import Annotating
from curate.store.reader import Reader
from curate.store.silence import SILENT, has_older_claims, older_claims
from curate.store.write import rows
from curate.types import Annotated


class Silences:
    """Finds where an annotator that was asked claims nothing though an older version of it did.

    Only there is a silence written down, as an abstention: what nobody claimed needs none. An item that it could not
    handle, or did not come to, is none either. Cost: a look at the claims about a batch's items; one pass over two
    columns of all claims, once, tells whether there are older ones at all.
    """

    def __init__(self, annotating: Annotating) -> None:
        self._annotating = annotating
        self._older: bool | None = None

    def of(self, reader: Reader, items: pa.Table, attributes: Sequence[str], answer: Annotated) -> pa.Table:
        """Return the abstentions of a batch that was asked for these attributes."""
        own = self._annotating
        asked, name, version = own.asked, own.name, own.annotator.version
        if self._older is None:
            self._older = has_older_claims(reader, asked, name, version)
        found = self._silent(reader, items, attributes, answer) if self._older else []
        columns = {
            "item_id": [item_id for item_id, _ in found],
            "protocol": asked[0],
            "protocol_version": asked[1],
            "attribute": [attribute for _, attribute in found],
            "reason": SILENT,
            "annotator": name,
            "annotator_version": version,
        }
        return rows("abstentions", columns, len(found))

    def _silent(
        self, reader: Reader, items: pa.Table, attributes: Sequence[str], answer: Annotated
    ) -> list[tuple[str, str]]:
        own = self._annotating
        ids = items["item_id"].to_pylist()
        older = older_claims(reader, own.asked, own.name, own.annotator.version, ids)
        without = {failure.item_id for failure in answer.failures} | set(answer.left)
        said = {(claim.item_id, claim.attribute) for claim in answer.claims}
        asked = {
            (item_id, attribute)
            for item_id, names in own.questions(items, attributes).items()
            for attribute in names
            if item_id not in without
        }
        return sorted((older & asked) - said)
