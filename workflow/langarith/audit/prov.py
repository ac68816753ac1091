"""The records of a study as W3C PROV."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from langarith.audit.lineage import Job, Lineage
from langarith.layout import SWEEP, is_sweep

LABELS = {
    "download_hub_file": "files of the hub",
    "write_miniature_corpus": "raw shards",
    "write_miniature_task": "task data",
    "check_task_data": "checks of task data",
    "train_tokenizer": "tokenizers",
    "tokenize_shard": "token streams",
    "pretrain_model": "base models",
    "initialise_adapters": "initial adapters",
    "leave_out_layers": "initial adapters without some layers",
    "train_language_adapter": "language adapters",
    "train_task_adapter": "task adapters",
    "estimate_fisher": "Fisher information",
    "check_adapters": "checks of ready-made adapters",
    "score_task_adapter": "scores of ready-made task adapters",
    "score_masked_lm": "masked-LM losses",
    "choose_lambda": "choices of the study's rule",
    "tabulate": "tidy tables",
    "estimate_gains": "intervals of gains",
    "estimate_choices": "choices of resamples",
    "estimate_label_price": "price of labels",
    "compare_rules": "rules that choose lambda",
    "format_table": "tables to read",
    "draw_figure": "figures",
    "draw_label_price": "figure of the price of labels",
    "draw_learning_curves": "learning curves",
    "compare_vectors": "similarity of vectors",
    "estimate_density": "density of weights",
    "compare_with_paper": "comparison with the paper",
    "rank_related_languages": "related languages",
}
"""Short label of the outputs of a rule; other rules are shown by name."""


SOURCES = "made by no job"


def label(rule: str) -> str:
    """What a rule's jobs make."""
    if is_sweep(rule):
        method, _, operands = rule.removeprefix(SWEEP).partition("_")
        return f"sweeps of {method.upper()}" + (f" of {operands} adapters" if operands else "")
    return LABELS.get(rule, rule.replace("_", " "))


def prov(graph: Lineage, jobs: Sequence[Job]) -> dict[str, Any]:
    """The graph of some jobs as PROV-JSON (W3C member submission, 2013).

    Files are entities `file:{path}`, jobs activities `job:{record}`; `used` and `wasGeneratedBy`
    join them, `wasInformedBy` joins a job and those it depends on. A version of a file that is not
    the one its job recorded is an entity of its own, `file:{path}#{start of its hash}`. The agent
    of a job is the code at a commit.
    """
    document: dict[str, Any] = {
        "prefix": {
            "prov": "http://www.w3.org/ns/prov#",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
            "file": "urn:language-arithmetic:file:",
            "job": "urn:language-arithmetic:job:",
            "code": "urn:language-arithmetic:code:",
            "la": "urn:language-arithmetic:terms:",
        }
    }
    parts: dict[str, dict[str, Any]] = defaultdict(dict)

    def entity(path: str, recorded: Mapping[str, Any]) -> str:
        maker = graph.producer.get(path)
        own = not maker or maker.outputs[path]["sha256"] == recorded["sha256"]
        name = f"file:{path}" if own else f"file:{path}#{recorded['sha256'][:12]}"
        parts["entity"][name] = {
            "prov:location": path,
            "la:sha256": recorded["sha256"],
            "la:size": recorded["size"],
        }
        return name

    for job in jobs:
        record, name = job.record_data, f"job:{job.record}"
        parts["activity"][name] = {
            "prov:startTime": record["start"],
            "prov:endTime": record.get("end", record["start"]),
            "prov:type": f"la:{job.rule}",
            "prov:label": job.name,
            "la:parameters": json.dumps(job.parameters, ensure_ascii=False, sort_keys=True),
            **{
                f"la:{key}": record[key]
                for key in ("seed", "host", "device", "precision", "seconds", "slurm_job")
                if record.get(key) is not None
            },
        }
        for path, about in job.inputs.items():
            link = {"prov:activity": name, "prov:entity": entity(path, about)}
            parts["used"][f"_:u{len(parts['used'])}"] = link
        for path, about in job.outputs.items():
            link = {"prov:entity": entity(path, about), "prov:activity": name}
            parts["wasGeneratedBy"][f"_:g{len(parts['wasGeneratedBy'])}"] = link
        for parent in graph.parents(job):
            link = {"prov:informed": name, "prov:informant": f"job:{parent.record}"}
            parts["wasInformedBy"][f"_:i{len(parts['wasInformedBy'])}"] = link
        git = record.get("git") or {}
        agent = f"code:{git.get('commit', 'unknown')}{'-dirty' if git.get('dirty') else ''}"
        parts["agent"][agent] = {"prov:type": "prov:SoftwareAgent"}
        link = {"prov:activity": name, "prov:agent": agent}
        link["la:fingerprint"] = str(job.parameters.get("code", ""))
        parts["wasAssociatedWith"][f"_:a{len(parts['wasAssociatedWith'])}"] = link
    return document | {key: parts[key] for key in sorted(parts)}
