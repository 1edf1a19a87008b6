"""Parameter-efficient fine-tuning: adapters that are fitted to a frozen network's items, resumed exactly, exported."""
