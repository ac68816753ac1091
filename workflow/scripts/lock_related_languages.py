"""Accept the proposal: add it beside the study, where later runs read it. Old choices stay."""

from pathlib import Path

from langarith.data import relatedness
from langarith.files import write_lock
from langarith.study import loading

lock = Path(snakemake.params.lock)
earlier = loading.read_yaml(lock) if lock.is_file() else {}
proposed = loading.read_yaml(Path(snakemake.input.proposal))
found = relatedness.updated_lock(earlier, proposed)
write_lock(lock, relatedness.LOCK_COMMENT, found)
kept = sum(found[target] == languages for target, languages in earlier.items())
extended = f", {len(earlier) - kept} extended" if kept < len(earlier) else ""
message = f"{lock}: {len(found) - len(earlier)} added, {kept} kept{extended}"
Path(snakemake.log[0]).write_text(f"{message}\n", encoding="utf-8")
print(message)
