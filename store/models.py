"""What was learned and fitted, model by model: every checkpoint with its place, its size, its figures, its standing."""

from typing import Any

from curate.store.reader import Reader

_MODELS = """
    SELECT c.learner AS model, c.snapshot, c.number, c.checkpoint, c.learner_version AS version,
        c.encoder_version AS base, c.items, c.size AS bytes, t.checkpoint IS NOT NULL AS served,
        max(m.value) FILTER (m.name = 'accuracy' AND m.slice = 'all') AS accuracy,
        max(m.value) FILTER (m.name = 'test loss' AND m.slice = 'all') AS loss,
        max(m.value) FILTER (m.name = 'test items' AND m.slice = 'all') AS test_items
    FROM checkpoints c
    LEFT JOIN metrics m ON m.subject = c.learner AND m.checkpoint = c.checkpoint AND m.number = c.number
    LEFT JOIN (
        SELECT * FROM promotions WHERE action <> 'kept'
        QUALIFY turn = max(turn) OVER (PARTITION BY learner, learner_version, encoder_version, snapshot)
    ) t ON t.learner = c.learner AND t.learner_version = c.learner_version AND t.encoder_version = c.encoder_version
        AND t.snapshot = c.snapshot AND t.checkpoint = c.checkpoint
    WHERE NOT contains(c.learner, '/') AND ($name = '' OR c.learner = $name)
    GROUP BY ALL ORDER BY model, snapshot, version, base, number, checkpoint"""


def list_models(reader: Reader, name: str = "") -> list[dict[str, Any]]:
    """Return every checkpoint of learners and adapters, or of one; `base` is an adapter's base model, or an encoder.

    `accuracy`, or a language model's `loss`, is that on the test items of its snapshot; None where nothing was tested.
    """
    found: list[dict[str, Any]] = reader.query(_MODELS, {"name": name}).to_pylist()
    return found
