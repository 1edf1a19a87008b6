"""Many tasks over one frozen network: an inventory of adapters that is mixed for each task, and losses in balance."""
