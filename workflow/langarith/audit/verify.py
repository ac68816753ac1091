"""Compare the files of a study with its records, and list what depends on those that differ.

On the command line: `langarith audit verify|explain|diff`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from langarith.audit import diff, explain_file, explain_number
from langarith.audit.lineage import RECORD, Job, Lineage
from langarith.errors import InputError, count
from langarith.jobs import fingerprint
from langarith.study.resolved import which_study

UNRECORDED = ("study.json", "report.html", "report.zip", "crate.zip")
"""Files of a results folder that describe it and are made by no job that leaves a record."""

UNRECORDED_FOLDERS = ("logs", "checkpoints", "hashes", "provenance")

CHUNK = 1 << 20

EXPLAIN_EXAMPLES = """\
examples:
  langarith audit explain results/mine target=es task=ner        the study's score of a target
  langarith audit explain results/mine 42.21                     a number as a table prints it
  langarith audit explain results/mine what=gain target=es --tree
  langarith audit explain results/mine/tables/zero_shot.csv --row target=es seed=1 split=test ...
"""


@dataclass(frozen=True)
class Finding:
    """A difference from the records.

    `kind`: `missing` or `changed` since a job wrote or read it; `stale`, made from another version
    of an input or by other code; `unrecorded`, described by no record; `record`, a
    record that is invalid. `downstream` are the files that depend on it, in order.
    """

    kind: str
    path: str
    why: str
    downstream: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """The findings of `verify`, and how much was checked."""

    findings: tuple[Finding, ...]
    files: int
    read: int
    """Bytes; each file's once, however many names and records it has."""
    jobs: int
    code: bool = True
    """Whether the code of the jobs was compared: it takes the scripts of a clone."""


def verify(results: Path, workers: int | None = None, *, progress: bool = False) -> Verdict:
    """Hash every file that the records of a study name, and compare.

    Args:
        workers: threads that read and hash (hashing lets the others run); all cores if None.
        progress: draw a bar on stderr.

    Raises:
        InputError: no study has run in the folder.
    """
    lineage = Lineage(results)
    if not lineage.jobs and not lineage.broken:
        raise InputError(
            f"{results}: no job has left a record there, so there is nothing to verify; "
            f"{which_study(results)}"
        )
    names = dict.fromkeys(file for job in lineage.jobs for file in (*job.inputs, *job.outputs))
    now, read = _hashes({name: lineage.locate(name) for name in names}, workers, progress)
    code = fingerprint.CHECKOUT is not None
    findings = [
        *_records(lineage),
        *_files(lineage, now),
        *_stale_inputs(lineage, now),
        *(_stale_code(lineage) if code else ()),
        *_unrecorded(lineage),
    ]
    # findings name files as records do; of a copy that would be the files of the original
    shown = tuple(
        replace(
            finding,
            path=lineage.shown(finding.path),
            downstream=tuple(map(lineage.shown, finding.downstream)),
        )
        for finding in findings
    )
    return Verdict(shown, len(names), read, len(lineage.jobs), code)


def _hashes(
    paths: dict[str, Path], workers: int | None, progress: bool
) -> tuple[dict[str, str | None], int]:
    """SHA-256 by name, None where there is no file or it cannot be read; and the bytes read."""
    from tqdm import tqdm

    same: dict[tuple[int, int], list[str]] = defaultdict(list)
    hashes: dict[str, str | None] = {}
    size = {}
    for name, path in paths.items():
        try:
            stat = path.stat()
        except OSError:
            hashes[name] = None
            continue
        same[stat.st_dev, stat.st_ino].append(name)
        size[stat.st_dev, stat.st_ino] = stat.st_size
    total = sum(size.values())
    with (
        tqdm(total=total, unit="B", unit_scale=True, desc="Hashing", disable=not progress) as bar,
        ThreadPoolExecutor(workers or os.cpu_count()) as pool,
    ):

        def digest(group: list[str]) -> tuple[list[str], str | None]:
            sha = hashlib.sha256()
            try:
                with open(paths[group[0]], "rb") as file:
                    while chunk := file.read(CHUNK):
                        sha.update(chunk)
                        bar.update(len(chunk))
            except OSError:
                return group, None
            return group, sha.hexdigest()

        # the largest first, so that no thread is left with one at the end
        order = sorted(same, key=lambda inode: -size[inode])
        for group, sha in pool.map(digest, (same[inode] for inode in order)):
            hashes |= dict.fromkeys(group, sha)
    return hashes, total


def _outputs(jobs: Iterable[Job]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(file for job in jobs for file in job.outputs))


def _on_files(lineage: Lineage, files: Iterable[str]) -> tuple[str, ...]:
    return _outputs(lineage.downstream(files))


def _on_jobs(lineage: Lineage, jobs: Sequence[Job]) -> tuple[str, ...]:
    """The outputs of jobs and all files that depend on them."""
    made = _outputs(jobs)
    return tuple(dict.fromkeys([*made, *_on_files(lineage, made)]))


def _records(lineage: Lineage) -> Iterable[Finding]:
    for name, why in lineage.broken.items():
        yield Finding("record", name, why, ())
    for name, why in lineage.doubled.items():
        yield Finding("record", name, why, ())


def _files(lineage: Lineage, now: dict[str, str | None]) -> Iterable[Finding]:
    """Files that differ from the record of their maker, or of all jobs that read them."""
    for name, sha in now.items():
        maker = lineage.producer.get(name)
        if maker:
            recorded, by = {maker.outputs[name]["sha256"]}, f"made by {maker.rule}"
        else:
            readers = lineage.users[name]
            recorded, by = (
                {job.inputs[name]["sha256"] for job in readers},
                f"read by {readers[0].rule}",
            )
        if sha is None:
            why = f"{by}; it cannot be read" if _is_unreadable(lineage.locate(name)) else by
            yield Finding("missing", name, why, _on_files(lineage, [name]))
        elif sha not in recorded:
            why = f"{by} as {_brief(recorded)}, now {sha[:12]}"
            yield Finding("changed", name, why, _on_files(lineage, [name]))


def _is_unreadable(path: Path) -> bool:
    """Whether a file without a hash is there, or lies in a folder that cannot be entered."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _stale_inputs(lineage: Lineage, now: dict[str, str | None]) -> Iterable[Finding]:
    """Jobs that read another version of a file than its maker recorded, or than the current one."""
    read: dict[str, set[str]] = defaultdict(set)
    for job in lineage.jobs:
        for name, recorded in job.inputs.items():
            read[name].add(recorded["sha256"])
    for job in lineage.jobs:
        for name, recorded in job.inputs.items():
            maker = lineage.producer.get(name)
            valid = {maker.outputs[name]["sha256"]} if maker else {now[name]}
            changed = not maker and now[name] not in read[name]
            if recorded["sha256"] not in valid and not changed and now[name] is not None:
                why = (
                    f"{job.name} read {lineage.shown(name)} as {recorded['sha256'][:12]}, "
                    f"and it is {_brief({v for v in valid if v})}"
                )
                yield Finding("stale", next(iter(job.outputs)), why, _on_jobs(lineage, [job]))


def _stale_code(lineage: Lineage) -> Iterable[Finding]:
    by_code: dict[tuple[str, ...], list[Job]] = defaultdict(list)
    for job in lineage.jobs:
        # a fingerprint names the modules that its rule named beside the script
        parts = str(job.parameters.get("code", "")).split(" ")[1:]
        by_code[job.script, *parts].append(job)
    for (script, *parts), jobs in by_code.items():
        try:
            code = fingerprint.fingerprint(script, *parts)
        except ValueError:  # no such script or module
            code = None
        old = [job for job in jobs if job.parameters.get("code", code) != code]
        if old:
            recorded = {str(job.parameters["code"]).partition(" ")[0] for job in old}
            why = f"{len(old)} of {len(jobs)} jobs ran code {_brief(recorded)}; " + (
                f"it is {code.partition(' ')[0]} now" if code else "that code no longer exists"
            )
            what = " with ".join(filter(None, [script, ", ".join(parts)]))
            yield Finding("stale", f"code of {what}", why, _on_jobs(lineage, old))


def _unrecorded(lineage: Lineage) -> Iterable[Finding]:
    for name in lineage.files():
        short = lineage.short(name)
        recorded = name in lineage.producer or name.endswith(RECORD)
        own = short in UNRECORDED or short.partition("/")[0] in UNRECORDED_FOLDERS
        if not recorded and not own:
            why = "described by no record"
            yield Finding("unrecorded", name, why, _on_files(lineage, [name]))


def _brief(hashes: Iterable[str]) -> str:
    return " or ".join(sorted(sha if len(sha) == 16 else sha[:12] for sha in hashes))


# --- output -------------------------------------------------------------------------------------


def report_lines(lineage_prefix: str, verdict: Verdict, most: int | None = 20) -> list[str]:
    """A verdict as lines: each finding, and the files that depend on it.

    Args:
        most: lines of files below one finding; the rest is counted. None: all.
    """
    lines = []
    blocks: dict[tuple[str, str, tuple[str, ...]], list[Finding]] = defaultdict(list)
    for finding in verdict.findings:
        # findings of one folder with the same downstream files are grouped
        folder = str(PurePosixPath(finding.path).parent)
        why = finding.why if finding.kind != "unrecorded" else folder
        blocks[finding.kind, why, finding.downstream].append(finding)
    for (kind, _, downstream), findings in blocks.items():
        lines += [f"{kind:<10} {finding.path}: {finding.why}" for finding in findings]
        if not downstream:
            lines.append("           no downstream files")
            continue
        folders = _folders(downstream)
        lines.append(f"           {len(downstream)} downstream files are affected:")
        shown = list(folders.items())[: most or None]
        lines += [f"             {name}{count}" for name, count in shown]
        if len(folders) > len(shown):
            lines.append(f"             and {len(folders) - len(shown)} more (--all names them)")
    counts = Counter(finding.kind for finding in verdict.findings)
    size = f"{verdict.read / 1e6:.1f} MB" if verdict.read < 1e9 else f"{verdict.read / 1e9:.1f} GB"
    looked = f"{lineage_prefix}: {verdict.files} files of {verdict.jobs} jobs, {size}"
    if counts:
        lines += ["", f"{looked}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items())]
    else:
        lines.append(f"{looked}: every file is as recorded")
    if not verdict.code:
        lines.append(
            "the code of the jobs was not compared: only the library is installed here, and their "
            "scripts are in a clone of the repository"
        )
    return lines


def _folders(files: Sequence[str]) -> dict[str, str]:
    """Tables and figures by name, and other files by their folder, with counts."""
    counts: Counter[str] = Counter()
    for file in files:
        path = PurePosixPath(file)
        alone = path.parent.name in ("tables", "figures", "checks") or path.suffix == ".arrow"
        counts[str(path) if alone else f"{path.parent}/"] += 1
    # results come first
    last = sorted(
        counts, key=lambda name: not any(f"/{part}/" in name for part in ("tables", "figures"))
    )
    return {name: f" ({counts[name]} files)" if name.endswith("/") else "" for name in last}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `langarith audit` to a parser."""
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="hash all files of a study and compare")
    verifying.add_argument("results", type=Path, nargs="?", default=Path("results"))
    verifying.add_argument("--jobs", type=count, help="threads (all cores)")
    verifying.add_argument("--all", action="store_true", help="name every downstream file")
    verifying.add_argument("--json", action="store_true", help="findings as JSON")
    explaining = commands.add_parser(
        "explain",
        help="where a number, a file or a table's row comes from",
        epilog=EXPLAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explaining.add_argument("path", type=Path, help="results folder of a study, or a file in it")
    explaining.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="of a folder: a number as printed, or target=es task=ner ...; of a table: see --row",
    )
    explaining.add_argument(
        "--tree",
        action="store_true",
        help="of a number: the whole chain, too; a file is always shown so",
    )
    explaining.add_argument(
        "--row",
        nargs="+",
        metavar="COLUMN=VALUE",
        help="the row of a table: target=es seed=1 split=test ...; or its line in the file",
    )
    comparing = commands.add_parser("diff", help="what differs between two runs, upstream first")
    comparing.add_argument("a", type=Path, help="a results folder, or a file in one")
    comparing.add_argument("b", type=Path)


def run(chosen: argparse.Namespace) -> int:
    """Run a command with its options; 0 if all is well, 1 if there are findings."""
    if chosen.command == "explain":
        row = [*chosen.words, *(chosen.row or [])]
        if chosen.path.is_dir():
            print("\n".join(explain_number.lines(chosen.path, row, chosen.tree)))
        else:
            print("\n".join(explain_file.lines(chosen.path, row or None)))
        return 0
    if chosen.command == "diff":
        differences = diff.lines(chosen.a, chosen.b)
        print("\n".join(differences or ["no difference"]))
        return int(bool(differences))
    verdict = verify(chosen.results, chosen.jobs, progress=sys.stderr.isatty())
    if chosen.json:
        print(json.dumps(asdict(verdict), indent=1, ensure_ascii=False))
    else:
        print("\n".join(report_lines(str(chosen.results), verdict, None if chosen.all else 20)))
    return int(bool(verdict.findings))
