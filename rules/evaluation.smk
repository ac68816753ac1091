# MAD-X step 4, the paper's own: merge, choose lambda on validation, test. One job is one sweep.

# On a cluster, sweeps that share a model, a task adapter and a seed are batched: profiles/slurm.
SWEEP_GROUP = "sweeps_{model}_{task}_{seed}"

# Each method has its own grid of points, so its own rule: sweep_la, sweep_ties20, sweep_slerp.
for method, count in SWEEPS:

    rule:
        name:
            sweep_rule(method, count)
        message:
            f"Sweeping {method}: {{wildcards.task}} in {{wildcards.target}} with {{wildcards.operands}}, {{wildcards.model}}, seed {{wildcards.seed}}"
        input:
            unpack(cell_inputs),
        output:
            **sweep_outputs(method, count),
        log:
            sweep_log(method, count),
        params:
            method=method,
            lambdas=STUDY.lambdas[method].values(),
            search=STUDY.lambdas[method].search,
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
