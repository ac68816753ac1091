"""Merge methods and the algebra of language vectors."""
