"""Evaluation of merges and the choice of lambda."""
