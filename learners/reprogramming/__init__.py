"""Channel-wise lightweight reprogramming: one frozen network, turned to each task by a small kernel a channel."""
