"""Every benchmark of this folder, then one table: `python benchmarks [--repeats N] [--tiny]`.

Exit code 1 where a benchmark failed, i.e. where its two sides disagree; the others still run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

ORDER = (
    "train_step",
    "sweep_lambda",
    "train_epoch",
    "train_memory",
    "tokenize_corpus",
    "start_job",
    "plan_study",
    "bootstrap_gain",
    "analyse_study",
)
"""As the table shows them; one that is not named comes last, `_parts.py` are no benchmarks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    options = [f"--repeats={asked.repeats}"] if asked.repeats else []
    options += ["--tiny"] if asked.tiny else []
    others = ("harness", "kill_campaign")  # the latter compares no sides
    scripts = [path for path in harness.HERE.glob("[a-z]*.py") if path.stem not in others]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        results.touch()
        for script in sorted(scripts, key=lambda path: [*ORDER, path.stem].index(path.stem)):
            command = [sys.executable, str(script), *options, "--results", str(results)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603
            if done.returncode:
                failed.append(script.stem)
        lines = results.read_text(encoding="utf-8")
    if not asked.tiny:
        with harness.RESULTS.open("a", encoding="utf-8") as log:
            log.write(lines)
    print("\n".join(harness.table([json.loads(line) for line in lines.splitlines()])))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
