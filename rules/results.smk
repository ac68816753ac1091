# Tidy tables from evaluations, figures from tidy tables.


rule tabulate:
    message:
        "Gathering the table of {wildcards.experiment}"
    localrule: True
    input:
        selected=selections,
        new_points=new_points,
        task_scores=task_scores,
    output:
        table=TABLE,
        record=f"{TABLE}.provenance.json",
    log:
        f"{LOGS}/tabulate/{{experiment}}.log",
    params:
        code=fingerprint("tabulate"),
    wildcard_constraints:
        experiment="|".join(grid.EXPERIMENTS),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/tabulate.py"


rule draw_zero_shot:
    message:
        "Drawing zero-shot bars: language arithmetic against both proxies"
    localrule: True
    input:
        table=TABLE.format(experiment="zero_shot"),
    output:
        pdf=report(
            f"{FIGURE.format(experiment='zero_shot')}.pdf",
            caption="../workflow/report/zero_shot.rst",
            category="Zero-shot",
        ),
        png=f"{FIGURE.format(experiment='zero_shot')}.png",
        record=f"{FIGURE.format(experiment='zero_shot')}.pdf.provenance.json",
    log:
        f"{LOGS}/draw_zero_shot/{STUDY.name}.log",
    params:
        caption=caption(),
        code=fingerprint("draw_zero_shot"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/draw_zero_shot.py"


rule draw_learning_curves:
    message:
        "Drawing learning curves"
    localrule: True
    input:
        logs=training_logs,
    output:
        pdf=report(
            f"{FIGURE.format(experiment='learning_curves')}.pdf",
            caption="../workflow/report/learning_curves.rst",
            category="Training",
        ),
        png=f"{FIGURE.format(experiment='learning_curves')}.png",
        record=f"{FIGURE.format(experiment='learning_curves')}.pdf.provenance.json",
    log:
        f"{LOGS}/draw_learning_curves/{STUDY.name}.log",
    params:
        caption=caption(),
        code=fingerprint("draw_learning_curves"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/draw_learning_curves.py"
