# Raw text and task data: synthetic (source: miniature), or existing files, which are validated.

SYNTHETIC_CORPUS = f"{R}/{layout.SYNTHETIC_CORPUS}"
SYNTHETIC_TASK = f"{R}/{layout.SYNTHETIC_TASK}"


if STUDY.corpora.source == "miniature":

    rule write_miniature_corpus:
        message:
            "Generating synthetic raw text ({wildcards.language})"
        output:
            shards=expand(
                f"{SYNTHETIC_CORPUS}/{{shard}}",
                shard=[Path(path).name for path in sources.shards(STUDY, "{language}")],
                allow_missing=True,
            ),
            record=f"{SYNTHETIC_CORPUS}/provenance.json",
        log:
            f"{LOGS}/write_miniature_corpus/{{language}}.log",
        params:
            text=lambda wildcards: sources.synthetic_text(STUDY, wildcards.language),
            words=lambda wildcards: [
                miniature.words(language)
                for language in (
                    wildcards.language,
                    *sources.synthetic_text(STUDY, wildcards.language)["translations"],
                )
            ],
            code=fingerprint("write_miniature_corpus"),
        resources:
            **member(lambda _: costs.SMALL),
        priority: 5  # every other job depends on it
        group:
            "miniature"
        conda:
            ENVIRONMENT
        script:
            "../workflow/scripts/write_miniature_corpus.py"


if any(task.source == "miniature" for task in STUDY.tasks.values()):

    rule write_miniature_task:
        message:
            "Generating synthetic {wildcards.task} examples ({wildcards.language})"
        output:
            train=f"{SYNTHETIC_TASK}/train.{{suffix}}",
            validation=f"{SYNTHETIC_TASK}/validation.{{suffix}}",
            test=f"{SYNTHETIC_TASK}/test.{{suffix}}",
            record=f"{SYNTHETIC_TASK}/{{suffix}}.provenance.json",
        log:
            f"{LOGS}/write_miniature_task/{{task}}-{{language}}.{{suffix}}.log",
        params:
            type=lambda wildcards: sources.task_type(STUDY, wildcards.task),
            examples=lambda wildcards: STUDY.tasks[wildcards.task].examples,
            difficulty=lambda wildcards: STUDY.tasks[wildcards.task].difficulty,
            words=lambda wildcards: miniature.words(wildcards.language),
            code=fingerprint("write_miniature_task"),
        wildcard_constraints:
            suffix="[a-z]+",
        resources:
            **member(lambda _: costs.SMALL),
        priority: 5  # task adapters, the longest trainings, depend on it
        group:
            "miniature"
        conda:
            ENVIRONMENT
        script:
            "../workflow/scripts/write_miniature_task.py"


rule check_task_data:
    message:
        "Validating the {wildcards.task} files of {wildcards.language}"
    localrule: True
    input:
        files=lambda wildcards: sorted(
            {
                sources.task_file(STUDY, wildcards.task, wildcards.language, split)
                for split in sources.needed_splits(STUDY, wildcards.language)
            }
        ),
        # for a target, the check of the training data
        source=lambda wildcards: (
            []
            if wildcards.language == STUDY.task_language
            else [CHECK.format(task=wildcards.task, language=STUDY.task_language)]
        ),
    output:
        check=CHECK,
        record=f"{CHECK}.provenance.json",
    log:
        CHECK_LOG,
    params:
        reading=lambda wildcards: sources.task_reading(STUDY, wildcards.task, wildcards.language),
        files=lambda wildcards: {
            split: sources.task_file(STUDY, wildcards.task, wildcards.language, split)
            for split in sources.needed_splits(STUDY, wildcards.language)
        },
        code=lambda wildcards: fingerprint(
            "check_task_data", tasks.part(sources.task_type(STUDY, wildcards.task))
        ),
    priority: 10  # before anything is trained
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/check_task_data.py"
