"""The room that learns: frozen encoders, continual learners, their baselines, metrics and checks.

Everything here is pure: arrays and Arrow tables go in, arrays and bytes come out. No database, no scheduler, no torch.
"""
