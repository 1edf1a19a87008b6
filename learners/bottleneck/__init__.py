"""The discrete key-value bottleneck (Träuble et al., ICML 2023, arXiv 2207.11240), a file for each of its parts."""
