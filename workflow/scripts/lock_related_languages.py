"""Accept the proposal: add it beside the study, where later runs read it. Old choices stay."""

from pathlib import Path

from langarith.data import relatedness
from langarith.files import write_lock
from langarith.study import loading

lock = Path(snakemake.params.lock)
accepted = loading.read_yaml(lock) if lock.is_file() else {}
proposed = loading.read_yaml(Path(snakemake.input.proposal))
write_lock(lock, relatedness.LOCK_COMMENT, proposed | accepted)
message = f"{lock}: {len(proposed.keys() - accepted.keys())} added, {len(accepted)} kept"
Path(snakemake.log[0]).write_text(f"{message}\n", encoding="utf-8")
print(message)
