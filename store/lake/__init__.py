"""The store on DuckLake: Parquet on shared or object storage, the catalog in PostgreSQL, many writers at once."""
