-- What near-duplicates need, frozen.
CREATE TABLE IF NOT EXISTS "bands" (
    "band" BIGINT, "item_id" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "clusters" (
    "item_id" VARCHAR, "representative" VARCHAR, "method" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
