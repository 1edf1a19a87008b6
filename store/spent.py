"""What was used that costs money: tokens of models, answers of people."""

from curate.store.reader import Reader

_TOKENS = """
    SELECT model, sum(prompt_tokens)::BIGINT AS prompt, sum(completion_tokens)::BIGINT AS completion
    FROM requests GROUP BY model ORDER BY model"""
# By the step that took them in: an answer that was carried over to a new protocol was paid for once. Simulated people
# stand for people, and are paid like them.
_LABELS = """
    WITH taken_in AS (SELECT commit_number FROM commits WHERE step IN ('label', 'gate', 'acquire'))
    SELECT (SELECT count(*) FROM annotations SEMI JOIN taken_in USING (commit_number)
            WHERE annotator_kind IN ('human', 'simulated'))
         + (SELECT count(*) FROM abstentions SEMI JOIN taken_in USING (commit_number) WHERE reason = 'cannot tell')
        AS labels"""


def tokens_by_model(reader: Reader) -> list[tuple[str, int, int]]:
    """Return each model with the tokens of its prompts and of its answers."""
    found = reader.query(_TOKENS).to_pylist()
    return [(row["model"], row["prompt"] or 0, row["completion"] or 0) for row in found]


def count_labels(reader: Reader) -> int:
    """Return how many answers people, real or simulated, have given: values, and that the item does not say."""
    return int(reader.query(_LABELS)["labels"][0].as_py())
