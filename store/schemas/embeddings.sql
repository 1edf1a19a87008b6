-- Features of items by encoder, frozen. A vector's dimension stands beside it: a lake knows no arrays of fixed size.
CREATE TABLE IF NOT EXISTS "embeddings" (
    "item_id" VARCHAR, "encoder_version" VARCHAR, "dimension" BIGINT, "vector" FLOAT[], "run_id" VARCHAR,
    "commit_number" BIGINT
);
