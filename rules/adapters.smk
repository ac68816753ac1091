# MAD-X steps 1 and 2: language adapters on raw text, task adapters on top of the task language's.


rule check_adapters:
    message:
        "Comparing the ready-made language adapters of {wildcards.model}"
    localrule: True
    input:
        encoder=lambda wildcards: encoder(wildcards.model)[:1],
        initial=initial_adapter("language"),
        adapters=lambda wildcards: [
            file
            for operand in ready_operands(wildcards.model)
            for file in language_adapter(wildcards.model, operand, STUDY.seeds[0])
        ],
    output:
        check=READY_CHECK,
        record=f"{READY_CHECK}.provenance.json",
    log:
        READY_LOG,
    params:
        languages=lambda wildcards: [o.language for o in ready_operands(wildcards.model)],
        trained=lambda wildcards: trains_adapters(wildcards.model),
        code=fingerprint("check_adapters"),
    priority: 10  # before hours of training that would be useless if it fails
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/check_adapters.py"


rule train_language_adapter:
    message:
        "Training the language adapter {wildcards.language}@{wildcards.budget} of {wildcards.model}, seed {wildcards.seed}"
    input:
        encoder=lambda wildcards: encoder(wildcards.model),
        tokenizer=lambda wildcards: tokenizer(wildcards.model),
        initial=initial_adapter("language"),
        tokens=token_streams,
    output:
        adapter=expand(f"{LANGUAGE_ADAPTER}/{{file}}", file=ADAPTER_FILES, allow_missing=True),
        metrics=f"{LANGUAGE_ADAPTER}/metrics.jsonl",
        record=f"{LANGUAGE_ADAPTER}/provenance.json",
    log:
        f"{R}/{layout.LANGUAGE_ADAPTER_LOG}",
    params:
        recipe=STUDY.training.language_adapter.model_dump(),
        budget=lambda wildcards: budget_tokens(wildcards.budget),
        text=sources.text_parts(STUDY),
        checkpoints=lambda wildcards: f"{CHECKPOINTS}/"
        + f"{wildcards.model}/language/{wildcards.language}@{wildcards.budget}/seed{wildcards.seed}",
        code=fingerprint("train_language_adapter"),
    threads: STUDY.training.language_adapter.threads
    resources:
        **gpu_training(
            lambda wildcards: NEEDS.language_adapter(
                wildcards.model, wildcards.language, wildcards.budget
            )
        ),
    # task adapters, and with them all sweeps, wait for the adapter of the task language
    priority: lambda wildcards: 5 if wildcards.language == STUDY.task_language else 0
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/train_language_adapter.py"


rule train_task_adapter:
    message:
        "Training the {wildcards.task} adapter of {wildcards.model}, seed {wildcards.seed}"
    input:
        encoder=lambda wildcards: encoder(wildcards.model),
        tokenizer=lambda wildcards: tokenizer(wildcards.model),
        initial=initial_adapter("task"),
        language_adapter=task_language_adapter,
        train=task_split("train"),
        validation=task_split("validation"),
        test=task_split("test"),
        checked=lambda wildcards: task_check(wildcards.task, STUDY.task_language),
        adapters=lambda wildcards: adapter_check(wildcards.model, TASK_LANGUAGE),
    output:
        adapter=expand(
            f"{TASK_ADAPTER}/{{file}}", file=[*ADAPTER_FILES, *HEAD_FILES], allow_missing=True
        ),
        task=f"{TASK_ADAPTER}/task.json",
        metrics=f"{TASK_ADAPTER}/metrics.jsonl",
        record=f"{TASK_ADAPTER}/provenance.json",
    log:
        f"{R}/{layout.TASK_ADAPTER_LOG}",
    params:
        recipe=lambda wildcards: sources.task_training(STUDY, wildcards.task).model_dump(),
        reading=lambda wildcards: sources.task_reading(STUDY, wildcards.task, STUDY.task_language),
        language=STUDY.task_language,
        batches=STUDY.evaluation.model_dump(include={"tokens_per_batch", "precision"}),
        checkpoints=lambda wildcards: f"{CHECKPOINTS}/"
        + f"{wildcards.model}/task/{wildcards.task}/seed{wildcards.seed}",
        code=lambda wildcards: fingerprint(
            "train_task_adapter", tasks.part(sources.task_type(STUDY, wildcards.task))
        ),
    threads: lambda wildcards: sources.task_training(STUDY, wildcards.task).threads
    resources:
        **gpu_training(lambda wildcards: NEEDS.task_adapter(wildcards.model, wildcards.task)),
    priority: 5  # every sweep of the task depends on it
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/train_task_adapter.py"


# Only for ready-made task adapters; also checks that they fit the base model and the task.
rule score_task_adapter:
    message:
        "Scoring the ready-made {wildcards.task} adapter of {wildcards.model} on the task language, seed {wildcards.seed}"
    input:
        encoder=lambda wildcards: encoder(wildcards.model),
        tokenizer=lambda wildcards: tokenizer(wildcards.model),
        language_adapter=task_language_adapter,
        task_adapter=lambda wildcards: ready_task_adapter(wildcards.model, wildcards.task),
        train=task_split("train"),
        validation=task_split("validation"),
        test=task_split("test"),
        checked=lambda wildcards: task_check(wildcards.task, STUDY.task_language),
        adapters=lambda wildcards: adapter_check(wildcards.model, TASK_LANGUAGE),
    output:
        # a copy, so that later jobs are the same as for an adapter that is trained here
        adapter=expand(
            f"{READY_TASK}/{{file}}", file=[*ADAPTER_FILES, *HEAD_FILES], allow_missing=True
        ),
        task=f"{READY_TASK}/task.json",
        record=f"{READY_TASK}/provenance.json",
    log:
        f"{LOGS}/score_task_adapter/{{model}}-{{task}}-seed{{seed}}.log",
    params:
        reading=lambda wildcards: sources.task_reading(STUDY, wildcards.task, STUDY.task_language),
        language=STUDY.task_language,
        batches=STUDY.evaluation.model_dump(include={"tokens_per_batch", "precision"}),
        code=lambda wildcards: fingerprint(
            "score_task_adapter", tasks.part(sources.task_type(STUDY, wildcards.task))
        ),
    threads: STUDY.evaluation.threads
    resources:
        **gpu_scoring(),
    priority: 5  # every sweep of the task depends on it
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/score_task_adapter.py"
