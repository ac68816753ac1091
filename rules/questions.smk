# Commands that report on a study and write no file.


rule check:
    message:
        "Validating the study and every file that it names"
    localrule: True
    log:
        f"{LOGS}/check/{STUDY.name}.log",
    params:
        study=STUDY_FILE,
        overrides=STUDY_OVERRIDES,
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/check.py"


rule plan:
    message:
        "Planning the whole study"
    localrule: True
    log:
        f"{LOGS}/plan/{STUDY.name}.log",
    params:
        study=STUDY_FILE,
        overrides=STUDY_OVERRIDES,
        at_once=jobs_at_once(),
        cluster=runs_on_cluster,
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/plan.py"
