-- Questions that a person was asked and gave no value for, frozen.
CREATE TABLE IF NOT EXISTS "abstentions" (
    "item_id" VARCHAR, "protocol" VARCHAR, "protocol_version" VARCHAR, "attribute" VARCHAR, "reason" VARCHAR,
    "annotator" VARCHAR, "annotator_version" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
