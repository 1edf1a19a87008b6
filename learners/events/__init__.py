"""Temporal point processes: sequences of events in time, what they are drawn from and what learns them."""
