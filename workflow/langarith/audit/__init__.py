"""Where results come from: lineage, verification, explanation, report."""
