"""Planning a study: `snakemake -n` on ours against Snakemake alone on as many trivial jobs.

Ours is the paper's study, then the same with 4 (and, if asked, 16) times as many seeds, and so
cells. The peer is a workflow as one writes by hand, one rule for each of our rules with an input
function that looks up a list in a dictionary, outputs, and `shell: "touch {output}"`: no study, no
parameters, scripts, logs, messages or resources. It has the same jobs in the same graph:

* "same files": every job has as many input and output files as ours, from the same jobs;
* "one file a job": every job has one output, and one input for each job that it depends on. Our
  jobs declare 25 files where a sweep of 21 lambdas runs, so this shows what declaring them costs.

Both sides plan in an empty folder, so all jobs are to run; both must count the same jobs. Time is
that of computing, start of Snakemake included; planning uses one core.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

import harness

SNAKEMAKE = [sys.executable, "-m", "snakemake"]

# Run by a Snakemake of its own: every job of a plan as (rule, inputs, outputs), in JSON.
DUMP = """
import json, sys
import snakemake.cli
from snakemake.dag import DAG
DAG.d3dag = lambda dag: print(
    json.dumps([(job.rule.name, list(job.input), list(job.output)) for job in dag.jobs])
)
snakemake.cli.main(sys.argv[1:])
"""

Job = tuple[str, list[str], list[str]]


def plan(given: harness.Given) -> dict[str, Any]:
    """Plan a workflow: seconds of computing, memory at its most, the number of jobs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(  # noqa: S603
        [*SNAKEMAKE, "--dry-run", "--quiet", "rules", *given["arguments"]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    total = next(row.split()[1] for row in done.stdout.splitlines() if row.startswith("total "))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": used.ru_utime - before.ru_utime + used.ru_stime - before.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "answer": int(total) - 1,  # without the target, which computes nothing
    }


def ours(given: harness.Given) -> dict[str, Any]:
    return plan({"arguments": given["ours"]})


def theirs(given: harness.Given) -> dict[str, Any]:
    return plan({"arguments": given["theirs"]})


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    study = harness.ROOT / ("studies/nano.yaml" if asked.tiny else "config.yaml")
    for times in [1] if asked.tiny else asked.times:
        with TemporaryDirectory() as place:
            empty, overlay = Path(place, "empty"), Path(place, "study.yaml")
            empty.mkdir()
            overlay.write_text(yaml.safe_dump(more_seeds(study, times)))
            arguments = [
                *("--snakefile", str(harness.ROOT / "Snakefile"), "--directory", str(empty)),
                *("--configfile", str(overlay)),
            ]
            jobs = planned_jobs(arguments)
            for name, bar in (("same files", 1 / 1.5), ("one file a job", None)):
                if bar is None and times > 1:
                    continue
                peer = Path(place, name)
                write_peer(jobs if bar else one_file(jobs), peer)
                yield harness.Case(
                    f"{len(jobs):,} jobs, {name}",
                    {
                        "ours": arguments,
                        "theirs": [
                            "--snakefile",
                            str(peer / "Snakefile"),
                            "--directory",
                            str(peer),
                        ],
                    },
                    bars={"seconds": bar, "peak_mb": None},
                    repeats=1 if times > 4 else None,
                )


def more_seeds(study: Path, times: int) -> dict[str, Any]:
    """A study that extends another, with so many times its seeds."""
    seeds = len(yaml.safe_load(study.read_text())["seeds"])
    return {"extends": str(study), "seeds": list(range(1, seeds * times + 1))}


def planned_jobs(arguments: list[str]) -> list[Job]:
    """What Snakemake would run of our study."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", DUMP, "--d3dag", "--cores", "1", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    jobs: list[Job] = json.loads(done.stdout)
    return jobs


def one_file(jobs: list[Job]) -> list[Job]:
    """The same graph with only the first output of each job."""
    first = {path: outputs[0] for _, _, outputs in jobs for path in outputs}
    return [
        (rule, list(dict.fromkeys(first[path] for path in inputs)), outputs[:1])
        for rule, inputs, outputs in jobs
    ]


def write_peer(jobs: list[Job], folder: Path) -> None:
    """A workflow of trivial jobs in the same graph: `rule/number.output`."""
    by_rule: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_rule[job[0]].append(job)
    names = {
        path: f"{rule}/{number}.{place}"
        for rule, of_rule in by_rule.items()
        for number, (_, _, outputs) in enumerate(of_rule)
        for place, path in enumerate(outputs)
    }
    needed = {
        rule: {
            str(number): [names[path] for path in inputs]
            for number, (_, inputs, _) in enumerate(of_rule)
        }
        for rule, of_rule in by_rule.items()
    }
    (target,) = needed.pop("all").values()
    rules = [f"rule all:\n    input: {target}\n"] + [
        f"rule {rule}:\n"
        f"    input: lambda wildcards: NEEDED['{rule}'][wildcards.number]\n"
        f"    output: {[f'{rule}/{{number}}.{i}' for i in range(len(by_rule[rule][0][2]))]}\n"
        "    shell: 'touch {output}'\n"
        for rule in needed
    ]
    folder.mkdir()
    (folder / "needed.json").write_text(json.dumps(needed))
    head = "import json\nNEEDED = json.load(open('needed.json'))\n"
    (folder / "Snakefile").write_text("\n".join([head, *rules]))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--times",
        type=int,
        nargs="+",
        default=[1, 4],
        help="of the study's seeds; 16 takes minutes",
    )


if __name__ == "__main__":
    harness.main(
        __doc__, "plan_study", {"ours": ours, "Snakemake alone": theirs}, cases, options=options
    )
