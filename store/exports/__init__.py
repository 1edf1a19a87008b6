"""Exports: a snapshot as a dataset folder that others can load, that only ever grows, and that was read back once.

`write.export_snapshot` is the way in. `rows` reads the store, `shards` writes Parquet, `growth` keeps what an earlier
number wrote, `check` loads the result, `manifest`, `front_matter` and `croissant` describe it, `formats` and
`label_studio` say the same rows in other formats, and `hub` sends the folder away.
"""
