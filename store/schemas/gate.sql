-- What the flywheel's gate keeps: the audits drawn, its verdicts, and the questions that people are asked, frozen.
CREATE TABLE IF NOT EXISTS "audits" (
    "item_id" VARCHAR, "protocol" VARCHAR, "protocol_version" VARCHAR, "attribute" VARCHAR, "round" BIGINT,
    "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "gates" (
    "protocol" VARCHAR, "protocol_version" VARCHAR, "attribute" VARCHAR, "annotator" VARCHAR,
    "annotator_version" VARCHAR, "look" BIGINT, "audited" BIGINT, "right" BIGINT, "accuracy" DOUBLE, "low" DOUBLE,
    "high" DOUBLE, "method" VARCHAR, "bar" DOUBLE, "level" DOUBLE, "bound" DOUBLE, "verdict" VARCHAR,
    "reason" VARCHAR, "since" BIGINT, "passed_at" BIGINT, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "queue" (
    "item_id" VARCHAR, "protocol" VARCHAR, "protocol_version" VARCHAR, "attribute" VARCHAR, "kind" VARCHAR,
    "priority" DOUBLE, "answers" BIGINT, "round" BIGINT, "run_id" VARCHAR, "commit_number" BIGINT
);
