-- The values drawn from the claims of several annotators, with posterior and method, frozen.
CREATE TABLE IF NOT EXISTS "consensus" (
    "item_id" VARCHAR, "protocol" VARCHAR, "protocol_version" VARCHAR, "attribute" VARCHAR, "value" VARCHAR,
    "posterior" DOUBLE, "method" VARCHAR, "votes" BIGINT, "run_id" VARCHAR, "commit_number" BIGINT
);
