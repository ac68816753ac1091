"""Language arithmetic for language adapters: the library behind the workflow.

It knows nothing of Snakemake. The README maps its rooms, top to bottom, with no import running back
up.
"""
