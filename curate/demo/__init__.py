"""The demo: the whole loop over real text and images that this machine already has, offline."""
