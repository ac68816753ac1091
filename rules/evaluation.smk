# MAD-X step 4, the paper's own: merge, choose lambda on validation, test. One job is one sweep.


rule sweep_la:
    message:
        "Sweeping lambda: {wildcards.task} in {wildcards.target} with {wildcards.left}+{wildcards.right}, {wildcards.model}, seed {wildcards.seed}"
    input:
        encoder=encoder,
        tokenizer=tokenizer,
        task_adapter=task_adapter,
        left=operand_adapter("left"),
        right=operand_adapter("right"),
        train=task_split("train", STUDY.task_language),
        validation=task_split("validation"),
        test=task_split("test"),
        checked=checked(),
        adapters=checked_adapters(),
    output:
        **sweep_outputs("la"),
    log:
        f"{LOGS}/sweep_la/{{model}}-{{task}}-{{target}}-{{left}}+{{right}}-seed{{seed}}.log",
    params:
        lambdas=STUDY.lambdas["la"].values(),
        reading=lambda wildcards: grid.task_reading(STUDY, wildcards.task, wildcards.target),
        batches=STUDY.evaluation.model_dump(include={"tokens_per_batch", "precision"}),
        code=fingerprint("sweep_la"),
    threads: STUDY.evaluation.threads
    resources:
        gpu=1,
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/sweep_la.py"
