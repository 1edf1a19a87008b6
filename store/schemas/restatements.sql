-- What places of sources say otherwise, or once more, frozen.
CREATE TABLE IF NOT EXISTS "restatements" (
    "item_id" VARCHAR, "source" VARCHAR, "locator" VARCHAR, "licence" VARCHAR, "metadata" VARCHAR, "turn" BIGINT,
    "run_id" VARCHAR, "commit_number" BIGINT
);
