"""Write the locks from the installed packages: pip's and, the same packages, conda's.

torch pins its own CUDA packages exactly, and a CPU build has none: they are left to it. Conda's
file repeats the list, because Snakemake copies it away from the files beside it.
"""

from importlib.metadata import distributions
from pathlib import Path

OWN = {"langarith", "pip", "wheel"}
LEFT_TO_TORCH = ("nvidia-", "cuda-", "triton")
HEAD = "# Written by `make lock` from envs/requirements.in; not by hand.\n"
CONDA = """channels:
  - conda-forge
  - nodefaults
dependencies:
  - python =3.11
  - pip
  - pip:
"""

found = {d.metadata["Name"].lower(): d.version.split("+")[0] for d in distributions()}
pins = [
    f"{name}=={version}"
    for name, version in sorted(found.items())
    if name not in OWN and not name.startswith(LEFT_TO_TORCH)
]
folder = Path(__file__).parent
(folder / "requirements.lock").write_text(HEAD + "".join(f"{pin}\n" for pin in pins))
(folder / "langarith.yaml").write_text(HEAD + CONDA + "".join(f"      - {pin}\n" for pin in pins))
