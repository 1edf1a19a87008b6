-- The tables of the first version, frozen: later migrations change them, this file stays as it is.
CREATE TABLE IF NOT EXISTS "items" (
    "item_id" VARCHAR, "modality" VARCHAR, "text" VARCHAR, "image" BLOB, "events" STRUCT(time DOUBLE, type INTEGER)[],
    "time_unit" VARCHAR, "size" BIGINT, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "origins" (
    "item_id" VARCHAR, "source" VARCHAR, "locator" VARCHAR, "entity" VARCHAR, "licence" VARCHAR, "metadata" VARCHAR,
    "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "sources" (
    "source" VARCHAR, "address" VARCHAR, "modality" VARCHAR, "format" VARCHAR, "mapping" VARCHAR, "run_id" VARCHAR,
    "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "rejects" (
    "source" VARCHAR, "locator" VARCHAR, "reason" VARCHAR, "detail" VARCHAR, "fingerprint" VARCHAR, "run_id" VARCHAR,
    "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "signatures" (
    "item_id" VARCHAR, "method" VARCHAR, "signature" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "duplicates" (
    "item_id" VARCHAR, "duplicate_of" VARCHAR, "similarity" DOUBLE, "method" VARCHAR, "run_id" VARCHAR,
    "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "protocols" (
    "protocol" VARCHAR, "version" VARCHAR, "definition" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "attributes" (
    "protocol" VARCHAR, "protocol_version" VARCHAR, "attribute" VARCHAR, "question" VARCHAR, "values" VARCHAR[],
    "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "annotations" (
    "item_id" VARCHAR, "protocol" VARCHAR, "protocol_version" VARCHAR, "attribute" VARCHAR, "value" VARCHAR,
    "confidence" DOUBLE, "annotator" VARCHAR, "annotator_kind" VARCHAR, "annotator_version" VARCHAR, "run_id" VARCHAR,
    "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "failures" (
    "item_id" VARCHAR, "step" VARCHAR, "actor" VARCHAR, "reason" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "requests" (
    "request_key" VARCHAR, "address" VARCHAR, "model" VARCHAR, "payload" VARCHAR, "body" VARCHAR,
    "prompt_tokens" BIGINT, "completion_tokens" BIGINT, "cached_tokens" BIGINT, "seconds" DOUBLE, "attempts" BIGINT,
    "received_at" TIMESTAMPTZ, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "scores" (
    "item_id" VARCHAR, "selector" VARCHAR, "selector_version" VARCHAR, "target" VARCHAR, "score" DOUBLE,
    "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "decisions" (
    "item_id" VARCHAR, "step" VARCHAR, "action" VARCHAR, "reason" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "snapshots" (
    "snapshot" VARCHAR, "number" BIGINT, "content_hash" VARCHAR, "size" BIGINT, "spec" VARCHAR, "spec_hash" VARCHAR,
    "as_of" BIGINT, "funnel" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "snapshot_items" (
    "snapshot" VARCHAR, "number" BIGINT, "item_id" VARCHAR, "label" VARCHAR, "split" VARCHAR, "score" DOUBLE,
    "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "checkpoints" (
    "checkpoint" VARCHAR, "learner" VARCHAR, "learner_version" VARCHAR, "parent" VARCHAR, "snapshot" VARCHAR,
    "number" BIGINT, "content_hash" VARCHAR, "encoder_version" VARCHAR, "classes" VARCHAR[], "items" BIGINT,
    "size" BIGINT, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "metrics" (
    "subject" VARCHAR, "checkpoint" VARCHAR, "snapshot" VARCHAR, "number" BIGINT, "name" VARCHAR, "slice" VARCHAR,
    "value" DOUBLE, "formula" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "ledger" (
    "step" VARCHAR, "step_version" VARCHAR, "parameters" VARCHAR, "item_id" VARCHAR, "run_id" VARCHAR,
    "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "cursors" (
    "consumer" VARCHAR, "key" VARCHAR, "position" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "runs" (
    "command" VARCHAR, "version" VARCHAR, "host" VARCHAR, "process" BIGINT, "started_at" TIMESTAMPTZ,
    "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "commits" (
    "step" VARCHAR, "rows" VARCHAR, "seconds" DOUBLE, "committed_at" TIMESTAMPTZ, "run_id" VARCHAR,
    "commit_number" BIGINT
);
