"""Merged adapters as products: merge, export, card."""
