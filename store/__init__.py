"""The room that knows DuckDB: the write lease, the ledger, published segments, ingestion, snapshots and exports."""
