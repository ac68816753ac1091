"""A merged adapter from a recipe alone: no study, no Snakemake."""

from __future__ import annotations

import sys
from pathlib import Path

from langarith.errors import gathered_warnings
from langarith.files import refuse_existing
from langarith.models import merge_recipe
from langarith.publishing.card import card


def from_recipe(file: Path, folder: Path) -> list[str]:
    """Write the merged adapter of a recipe into a new folder, with its recipe and card.

    Returns:
        What was written, one line.

    Raises:
        InputError: the recipe is wrong; an adapter is missing or does not fit; the folder holds
            files.
    """
    refuse_existing(folder)
    recipe = merge_recipe.read(file)
    recipe = merge_recipe.download(recipe, lambda line: print(line, file=sys.stderr))
    from langarith.models import merged  # once the files of the hub are here

    with gathered_warnings(lambda w: print(f"warning: {w}", file=sys.stderr)):
        result = merged.merge(recipe)
    merged.write(result, folder, {"README.md": card(result, folder.resolve().name)})
    return [f"{folder}: {result.formula}, as adapter '{result.name}'"]
