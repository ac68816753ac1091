"""Where results come from: lineage, verification, export."""
