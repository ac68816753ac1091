# Related languages: computed from URIEL on request, never while the grid is read.

RELATED_PROPOSAL = f"{R}/related_languages.yaml"


rule rank_related_languages:
    message:
        "Ranking related languages by URIEL, through lang2vec"
    output:
        table=f"{R}/tables/related_languages.csv",
        proposal=RELATED_PROPOSAL,
        record=f"{R}/tables/related_languages.csv.provenance.json",
    log:
        f"{LOGS}/rank_related_languages/{STUDY.name}.log",
    params:
        languages=STUDY.languages,
        task_language=STUDY.task_language,
        related=STUDY.related,
        nearest=pool.size(STUDY),
        code=fingerprint("rank_related_languages"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/rank_related_languages.py"


rule lock_related_languages:
    message:
        "Writing the proposed related languages into the study's lock file"
    localrule: True
    input:
        proposal=RELATED_PROPOSAL,
    log:
        f"{LOGS}/lock_related_languages/{STUDY.name}.log",
    params:
        lock=str(loading.lock_file(Path(STUDY_FILE))),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/lock_related_languages.py"
