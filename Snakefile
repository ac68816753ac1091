# The method of the paper, one rule file per stage, in the order in which data flows.
# A study (config.yaml, or the one after --configfile) defines the cells of the grid.

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


include: "rules/root.smk"  # ROOT, the folder of this workflow
include: f"{ROOT}/rules/runtime.smk"  # Snakemake's internals and this process
include: f"{ROOT}/rules/common.smk"  # the study, paths, what a job reads
include: f"{ROOT}/rules/experiments.smk"  # what tables and figures are made from
include: f"{ROOT}/rules/cluster.smk"  # what jobs request from a cluster


if not STUDY.allow_missing:

    include: f"{ROOT}/rules/download.smk"  # files of the Hugging Face hub
    include: f"{ROOT}/rules/data.smk"  # raw shards and task files
    include: f"{ROOT}/rules/models.smk"  # tokenizer, token streams, base model, initial adapters
    include: f"{ROOT}/rules/adapters.smk"  # language adapters, task adapters
    include: f"{ROOT}/rules/evaluation.smk"  # merges, their scores, the choice of lambda


include: f"{ROOT}/rules/relatedness.smk"  # which language is related to which
include: f"{ROOT}/rules/results.smk"  # tidy tables, tables to read, figures
include: f"{ROOT}/rules/provenance.smk"  # where the numbers come from
include: f"{ROOT}/rules/questions.smk"  # check, plan


# A message instead of the names of all files, which Snakemake would print.
rule all:
    message:
        "All results of the study exist"
    default_target: True
    localrule: True
    input:
        [experiment_results(name) for name in STUDY.experiments],
        learning_curves,


# Every experiment of the paper is a target by its name: snakemake zero_shot
for experiment in experiments.EXPERIMENTS:

    rule:
        name:
            experiment
        message:
            "All results of {rule} exist"
        localrule: True
        input:
            experiment_results(experiment),
