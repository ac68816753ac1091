"""What task types have in common: the interface, tagging, classification, metrics."""
