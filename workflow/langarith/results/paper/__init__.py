"""The paper's numbers, and this study's beside them."""
