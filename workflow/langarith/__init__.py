"""Language arithmetic for language adapters: the library behind the workflow.

It does not depend on Snakemake. The README lists its packages in the order of their imports:
a module imports only from its own package and those above it.
"""
