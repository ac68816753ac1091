"""Colours and marks of points: one for each adapter and merge method, the same in every figure."""

from __future__ import annotations

from collections.abc import Sequence

from langarith import merging

# Okabe and Ito's palette, safe for colour-blind readers. Sky blue and orange look the same in grey:
# there the hatching of bars and the dashes of lines distinguish them.
TASK_LANGUAGE, RELATED, MERGED = "#56B4E9", "#E69F00", "#004D80"
TARGET = "#9A4FB5"  # only the target's own adapter
WITHOUT = "#6B6B6B"  # no language adapter
OTHERS = (
    *("#009E73", "#CC79A7", "#882255", "#D55E00"),
    *("#F0E442", "#999933", "#8C6D46", "#117733", "#6B6B6B"),
)
"""Of the merge methods other than language arithmetic, in the order of the registry."""

TASK_LANGUAGE_MARK, RELATED_MARK, MERGED_MARK, TARGET_MARK = "o", "s", "D", "^"
OTHER_MARKS = ("<", ">", "*", "X", "P", "8", "h", "p", "v")
"""Of the merge methods other than language arithmetic, in the order of the registry."""

LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "black")
"""Of lines that differ only in their look: Okabe and Ito's palette without the yellow."""


def method_colour(name: str) -> str:
    """The colour of a merge method by its name in studies, the same in every figure.

    Language arithmetic has `MERGED`, and so have methods that do not merge pairs, which no figure
    shows together with it. A method with a parameter has a lighter colour for a larger parameter:
    `ties20` and `ties80` are two greens.
    """
    colour = _of_family(name, OTHERS, MERGED)
    method = merging.get(name)
    if method.parameters is None or method.parameter is None:
        return colour
    return tint(colour, 0.7 * method.parameter / method.parameters[-1])


def method_mark(name: str) -> str:
    """The mark of a merge method's points. Those of a method with a parameter have one mark."""
    return _of_family(name, OTHER_MARKS, MERGED_MARK)


def _of_family(name: str, looks: Sequence[str], la: str) -> str:
    """The look of a method: `la` for language arithmetic and methods that do not merge pairs."""
    family = merging.part(name).removeprefix("merging.")
    others = [each for each in merging.of_pairs() if each != "la"]
    return looks[others.index(family) % len(looks)] if family in others else la


def tint(colour: str, white: float) -> str:
    """A colour mixed with a share of white, 0 to 1."""
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(c + (255 - c) * white):02X}" for c in channels)
