-- What discovery keeps: the structure, version by version, and which attribute of each dimension an item has, frozen.
CREATE TABLE IF NOT EXISTS "dimensions" (
    "structure" VARCHAR, "version" VARCHAR, "of_class" VARCHAR, "place" BIGINT, "dimension" VARCHAR,
    "attributes" VARCHAR[], "definition" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
CREATE TABLE IF NOT EXISTS "memberships" (
    "item_id" VARCHAR, "structure" VARCHAR, "version" VARCHAR, "dimension" VARCHAR, "attribute" VARCHAR,
    "quote" VARCHAR, "confidence" DOUBLE, "method" VARCHAR, "run_id" VARCHAR, "commit_number" BIGINT
);
