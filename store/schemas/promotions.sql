-- Which checkpoint of a learner is served, turn by turn, frozen.
CREATE TABLE IF NOT EXISTS "promotions" (
    "learner" VARCHAR, "learner_version" VARCHAR, "encoder_version" VARCHAR, "snapshot" VARCHAR, "turn" BIGINT,
    "checkpoint" VARCHAR, "number" BIGINT, "served" VARCHAR, "action" VARCHAR, "reason" VARCHAR, "run_id" VARCHAR,
    "commit_number" BIGINT
);
