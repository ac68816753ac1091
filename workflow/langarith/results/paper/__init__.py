"""The paper's numbers, and their comparison with this study's."""
