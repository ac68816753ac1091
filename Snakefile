# The method of the paper, one rule file per stage, in the order in which data flows.
# A study (config.yaml, or the one after --configfile) says which cells of the grid there are.

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/workflow")


include: "rules/common.smk"
include: "rules/download.smk"  # files of the Hugging Face hub
include: "rules/data.smk"  # raw shards and task files
include: "rules/models.smk"  # tokenizer, token streams, base model, initial adapters
include: "rules/adapters.smk"  # language adapters, task adapters
include: "rules/evaluation.smk"  # merged evaluations, lambda chosen
include: "rules/relatedness.smk"  # which language is related to which
include: "rules/results.smk"  # tidy tables, figures


rule all:
    default_target: True
    localrule: True
    input:
        [experiment_results(name) for name in STUDY.experiments],
        learning_curves(),


rule zero_shot:
    localrule: True
    input:
        experiment_results("zero_shot"),
