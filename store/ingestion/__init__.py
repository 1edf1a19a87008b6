"""Readers: files in, Arrow batches of records and rejects out. Pure parsing, no database.

`mapping` says which columns mean what, `files` finds the files of a source, `read` turns one file into batches and
`canonical` defines item ids. The step that commits the batches is `curate.flows.steps.ingest`.
"""
