"""Add the proposal to the lock file next to the study. Entries that it has already stay."""

from pathlib import Path

from langarith.data import relatedness
from langarith.files import write_lock
from langarith.study import loading

lock = Path(snakemake.params.lock)
earlier = loading.read_yaml(lock) if lock.is_file() else {}
proposed = loading.read_yaml(Path(snakemake.input.proposal))
accepted = relatedness.updated_lock(earlier, proposed)
write_lock(lock, relatedness.LOCK_COMMENT, accepted)
kept = sum(accepted[target] == languages for target, languages in earlier.items())
extended = f", {len(earlier) - kept} extended" if kept < len(earlier) else ""
message = f"{lock}: {len(accepted) - len(earlier)} added, {kept} kept{extended}"
Path(snakemake.log[0]).write_text(f"{message}\n", encoding="utf-8")
print(message)
