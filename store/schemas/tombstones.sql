-- Erased items, which must not come back, frozen.
CREATE TABLE IF NOT EXISTS "tombstones" (
    "item_id" VARCHAR, "reason" VARCHAR, "erased_at" TIMESTAMPTZ, "run_id" VARCHAR, "commit_number" BIGINT
);
