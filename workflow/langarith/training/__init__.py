"""The training of base models and adapters."""
