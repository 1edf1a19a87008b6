"""The room that joins store and algorithms: plain steps, the sequence that walks them, and the Prefect flow."""
