"""The merges of a sweep, from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from langarith.merging import Merge, Method
from langarith.merging.tensors import flatten, language_vector
from langarith.models.adapters import read_adapter
from langarith.models.devices import device
from langarith.models.weights import read_tensors


class MergeFiles(NamedTuple):
    """What language adapters are merged from.

    operands: their folders, in the cell's order. origin: the folder of the common initialisation,
    None if an operand was trained elsewhere and the method does not need it. fishers: files of the
    operands' Fisher information, for methods that need it.
    """

    operands: Sequence[Path]
    origin: Path | None = None
    fishers: Sequence[Path] = ()

    @classmethod
    def of(cls, adapters: Sequence[str], origin: Sequence[str], fishers: Sequence[str]) -> Self:
        """From the files of a job, of which each adapter has several."""
        folders = list(dict.fromkeys(Path(file).parent for file in adapters))
        return cls(folders, Path(origin[0]).parent if origin else None, list(map(Path, fishers)))

    def read(self, method: Method, seed: int) -> tuple[Merge, list[float]]:
        """The merge on the device, and ‖τ‖ of the operands: none if θ_pre is not known."""
        adapters = [read_adapter(folder) for folder in self.operands]
        start = read_adapter(self.origin) if self.origin else None
        fishers = [read_tensors(file) for file in self.fishers]
        norms = [float(flatten(language_vector(a, start)).norm()) for a in adapters if start]
        return method.merger(adapters, start, device(), seed, fishers), norms
