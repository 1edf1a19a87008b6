"""Frozen encoders: items go in, float32 features come out, and the same item always gives the same features."""
