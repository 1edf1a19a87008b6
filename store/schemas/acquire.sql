-- What online active learning keeps: every decision on an item, and after each batch the policy's state, frozen.
CREATE TABLE IF NOT EXISTS "acquisitions" (
    "item_id" VARCHAR, "policy" VARCHAR, "version" VARCHAR, "protocol" VARCHAR, "protocol_version" VARCHAR,
    "attribute" VARCHAR, "place" BIGINT, "predicted" VARCHAR, "utility" DOUBLE, "propensity" DOUBLE, "reason" VARCHAR,
    "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "policies" (
    "policy" VARCHAR, "version" VARCHAR, "seen" BIGINT, "spent" BIGINT, "learned" BIGINT, "silent" BIGINT,
    "state" VARCHAR, "checkpoint" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
