"""Resolve each branch of the hub that the study names to a commit in the lock file next to it."""

import sys
from pathlib import Path

from langarith import progress
from langarith.data import hub, hub_download
from langarith.errors import InputError
from langarith.files import write_lock
from langarith.study import loading

lock = Path(snakemake.params.lock)
locked = loading.read_yaml(lock) if lock.is_file() else {}
progress.redirect_to(snakemake.log[0])
try:
    new = {
        key: hub_download.resolve(*branch)
        for key, branch in snakemake.params.branches.items()
        if key not in snakemake.params.locked
    }
except InputError as error:
    progress.say(f"Error in {snakemake.rule}: {error}")
    sys.exit(1)
if new:
    write_lock(lock, hub.LOCK_COMMENT, locked | new)
progress.say(f"{lock}: {len(new)} resolved, {len(locked)} kept")
