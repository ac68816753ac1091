"""Language arithmetic for language adapters: the library behind the workflow.

It does not depend on Snakemake. The README lists its packages in import order: a package imports
only from those above it.
"""
