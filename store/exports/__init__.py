"""Exports: a snapshot as a dataset folder that others can load, that only ever grows, and that was read back once.

`write.export_snapshot` is the way in. `target` says what every row shall be, `growth` keeps what an earlier number
wrote, `rows` brings the content of the rest, `shards` writes Parquet, `described` makes the card, `check` loads the
result, `manifest`, `front_matter` and `croissant` describe it, `formats` and `label_studio` say the same rows in other
formats, and `hub` sends the folder away.
"""
