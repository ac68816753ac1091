# MAD-X step 4, the paper's own: merge, choose lambda on validation, test. One job is one sweep.

# On a cluster, sweeps that share a model, a task adapter and a seed are batched: profiles/slurm.
SWEEPS = "sweeps_{model}_{task}_{seed}"


rule sweep_la:
    message:
        "Sweeping lambda: {wildcards.task} in {wildcards.target} with {wildcards.left}+{wildcards.right}, {wildcards.model}, seed {wildcards.seed}"
    input:
        unpack(sweep_inputs),
    output:
        **sweep_outputs("la"),
    log:
        sweep_log("la"),
    params:
        **sweep_params(),
        lambdas=STUDY.lambdas["la"].values(),
        code=fingerprint("sweep_la"),
    threads: STUDY.evaluation.threads
    resources:
        **gpu_sweep("la"),
    group:
        SWEEPS
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/sweep_la.py"


# Each method of TIES has a lambda grid of its own, so a rule of its own: sweep_ties20, sweep_ties80.
for method in grid.ties_methods(STUDY):

    rule:
        name:
            f"sweep_{method}"
        message:
            f"Sweeping {method}: {{wildcards.task}} in {{wildcards.target}} with {{wildcards.left}}+{{wildcards.right}}, {{wildcards.model}}, seed {{wildcards.seed}}"
        input:
            unpack(sweep_inputs),
            initial=initial_adapter("language"),
        output:
            **sweep_outputs(method),
        log:
            sweep_log(method),
        params:
            **sweep_params(),
            method=method,
            keep=int(method.removeprefix("ties")),
            lambdas=STUDY.lambdas[method].values(),
            code=fingerprint("sweep_ties"),
        threads: STUDY.evaluation.threads
        resources:
            **gpu_sweep(method),
        group:
            SWEEPS
        conda:
            ENVIRONMENT
        script:
            "../workflow/scripts/sweep_ties.py"
