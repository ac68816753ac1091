"""A study: schema, loading, sources of its files, grid, experiments, checks."""
