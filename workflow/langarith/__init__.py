"""Language arithmetic for language adapters: the library behind the workflow.

It knows nothing of Snakemake. Rooms, top to bottom, with no import running back up:
``study``, ``arithmetic``, ``corpora``, ``tasks``, ``models``, ``training``, ``evaluation``,
``relatedness``, ``miniature``, ``figures``, ``tables``, ``provenance``.
"""
