"""Lineage out: OpenLineage run events for every step, to a file or an address, where the settings name one."""
