-- The pairs that items fetch among a learner's frozen keys, frozen.
CREATE TABLE IF NOT EXISTS "codes" (
    "item_id" VARCHAR, "keys_version" VARCHAR, "codes" INTEGER[], "run_id" VARCHAR, "commit_number" BIGINT
);
