# MAD-X step 4, the paper's own: merge, choose lambda on validation, test. One job is one sweep.

# On a cluster, sweeps that share a model, a task adapter and a seed are batched: profiles/slurm.
SWEEP_GROUP = "sweeps_{model}_{task}_{seed}"

# How held-out raw text is read.
HELD_OUT = {
    "validation_documents": STUDY.corpora.validation_documents,
    **STUDY.training.language_adapter.model_dump(include={"chunk_length", "mask_probability"}),
}

# Each method has its own grid of points, so its own rule: sweep_la, sweep_ties20, sweep_slerp.
for method, count in SWEEPS:

    rule:
        name:
            sweep_rule(method, count)
        message:
            f"Sweeping {method}: {{wildcards.task}} in {{wildcards.target}} with {{wildcards.operands}}, {{wildcards.model}}, seed {{wildcards.seed}}"
        input:
            unpack(cell_inputs(method)),
        output:
            **sweep_outputs(method, count),
        log:
            sweep_log(method, count),
        params:
            method=method,
            lambdas=grid.lambdas(STUDY, method, count)[0],
            search=grid.lambdas(STUDY, method, count)[1],
            reading=lambda wildcards: sources.task_reading(STUDY, wildcards.task, wildcards.target),
            batches=STUDY.evaluation.model_dump(include={"tokens_per_batch", "precision"}),
            code=code_of_sweep(method),
        wildcard_constraints:
            operands=layout.operands_pattern(count),
        threads: STUDY.evaluation.threads
        resources:
            **gpu_sweep(method, count),
        group:
            SWEEP_GROUP
        conda:
            ENVIRONMENT
        script:
            "../workflow/scripts/sweep.py"


# For rules that choose lambda by raw text of the target. A job scores the merges of a sweep at every
# point; it does not depend on the task, so the sweeps of all tasks share it.
rule score_masked_lm:
    message:
        "Masked-LM losses of {wildcards.method} on text of {wildcards.target} with {wildcards.operands}, {wildcards.model}, seed {wildcards.seed}"
    input:
        unpack(masked_lm_inputs),
    output:
        losses=f"{MASKED_LM}/losses.json",
        record=f"{MASKED_LM}/provenance.json",
    log:
        MASKED_LM_LOG,
    params:
        lambdas=lambda wildcards: lambdas_of(wildcards)[0],
        search=lambda wildcards: lambdas_of(wildcards)[1],
        reading=HELD_OUT,
        batches=STUDY.evaluation.model_dump(include={"tokens_per_batch", "precision"}),
        code=lambda wildcards: fingerprint("score_masked_lm", merging.part(wildcards.method)),
    wildcard_constraints:
        method="|".join(dict.fromkeys(method for method, _ in SWEEPS)),
    threads: STUDY.evaluation.threads
    resources:
        **gpu_masked_lm(),
    group:
        "masked_lm_{model}_{seed}"
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/score_masked_lm.py"


# Only for merge methods that weigh parameters by their Fisher information. A job is one
# language adapter, on the held-out text of its own language: all sweeps that merge it share the file.
rule estimate_fisher:
    message:
        "Estimating the Fisher information of {wildcards.language}@{wildcards.budget} of {wildcards.model}, seed {wildcards.seed}"
    input:
        encoder=lambda wildcards: encoder(wildcards.model),
        tokenizer=lambda wildcards: tokenizer(wildcards.model),
        adapter=lambda wildcards: folder_files(
            LANGUAGE_ADAPTER, ADAPTER_FILES, **dict(wildcards.items())
        ),
        tokens=lambda wildcards: held_out(wildcards.model, wildcards.language),
    output:
        fisher=f"{FISHER}/{layout.FISHER_FILE}",
        record=f"{FISHER}/provenance.json",
    log:
        FISHER_LOG,
    params:
        reading=HELD_OUT | {"chunks": sources.FISHER_CHUNKS},
        precision="fp32",  # squares of small gradients would vanish in half precision
        code=fingerprint("estimate_fisher"),
    threads: STUDY.evaluation.threads
    resources:
        **gpu_fisher(),
    group:
        "fisher_{model}_{seed}"
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/estimate_fisher.py"
