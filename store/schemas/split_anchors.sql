-- Whose id's hash gave an item its split, where it is not its own, frozen.
CREATE TABLE IF NOT EXISTS "anchors" (
    "item_id" VARCHAR, "anchor" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
