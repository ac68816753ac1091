# Tidy tables from evaluations and adapters; formatted tables and figures only from tidy tables.

# Tables that print numbers of the paper have the hash of its file as a parameter, so that an edit of
# the file reprints them.
PAPER = sha256(f"{ROOT}/workflow/langarith/results/paper/numbers.yaml")[:16]

# The rules that label_free compares. A new rule is a new file and needs no other change.
RULES = rules_of_study.compared_rules(STUDY)


wildcard_constraints:
    experiment="|".join(experiments.EXPERIMENTS),


rule tabulate:
    message:
        "Tabulating {wildcards.experiment}"
    localrule: True
    input:
        selected=lambda wildcards: selections(wildcards.experiment),
        new_points=lambda wildcards: new_points(wildcards.experiment),
        task_scores=lambda wildcards: task_scores(wildcards.experiment),
        choices=lambda wildcards: chosen_points(wildcards.experiment),
        losses=lambda wildcards: losses_of_texts(wildcards.experiment),
    output:
        table=TABLE,
        record=f"{TABLE}.provenance.json",
    log:
        f"{LOGS}/tabulate/{{experiment}}.log",
    params:
        missing=lambda wildcards: missing_cells(wildcards.experiment),
        code=fingerprint("tabulate"),
    wildcard_constraints:
        experiment="|".join(experiments.TABULATED),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/tabulate.py"


# Only if the study's `selection` is not the choice on validation, which sweeps make themselves.
rule choose_lambda:
    message:
        "Choosing lambda for {wildcards.experiment}"
    localrule: True
    input:
        selected=lambda wildcards: selections(wildcards.experiment),
        others=lambda wildcards: sweeps_of_other_targets(wildcards.experiment),
        losses=lambda wildcards: losses_of_cells(wildcards.experiment),
    output:
        table=CHOSEN,
        record=f"{CHOSEN}.provenance.json",
    log:
        f"{LOGS}/choose_lambda/{{experiment}}.log",
    params:
        rule=STUDY.selection,
        task_language=STUDY.task_language,
        related=lambda _: STUDY.related,
        code=fingerprint("choose_lambda", f"evaluation.selection.{STUDY.selection}"),
    wildcard_constraints:
        experiment="|".join(filter(rules_of_study.shows_choice, experiments.EXPERIMENTS)),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/choose_lambda.py"


rule compare_rules:
    message:
        "Comparing rules that choose lambda"
    localrule: True
    input:
        selected=lambda _: selections("label_free"),
        others=lambda _: sweeps_of_other_targets("label_free"),
        losses=lambda _: losses_of_cells("label_free"),
    output:
        table=TABLE.format(experiment="label_free"),
        record=f"{TABLE.format(experiment='label_free')}.provenance.json",
    log:
        f"{LOGS}/compare_rules/{STUDY.name}.log",
    params:
        task_language=STUDY.task_language,
        related=lambda _: STUDY.related,
        missing=lambda _: missing_cells("label_free"),
        missing_others=lambda _: missing_other_targets("label_free"),
        rules=RULES,
        code=fingerprint("compare_rules", *(f"evaluation.selection.{rule}" for rule in RULES)),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/compare_rules.py"


rule estimate_gains:
    message:
        "Estimating the intervals of the gains of {wildcards.experiment}"
    localrule: True
    input:
        table=TABLE,
        outcomes=lambda wildcards: outcomes_of_cells(wildcards.experiment),
    output:
        table=GAINS,
        record=f"{GAINS}.provenance.json",
    log:
        f"{LOGS}/estimate_gains/{{experiment}}.log",
    params:
        task_language=STUDY.task_language,
        selection=STUDY.selection,
        types=lambda wildcards: task_types(wildcards.experiment),
        parallel=lambda wildcards: parallel(task_types(wildcards.experiment)),
        code=lambda wildcards: fingerprint(
            "estimate_gains", *map(tasks.part, task_types(wildcards.experiment).values())
        ),
    wildcard_constraints:
        experiment="|".join(experiments.GAINS),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/estimate_gains.py"


rule estimate_choices:
    message:
        "Estimating the certainty of the choices of {wildcards.experiment}"
    localrule: True
    input:
        outcomes=lambda wildcards: outcomes_of_cells(wildcards.experiment),
    output:
        table=CHOICES,
        record=f"{CHOICES}.provenance.json",
    log:
        f"{LOGS}/estimate_choices/{{experiment}}.log",
    params:
        types=lambda wildcards: task_types(wildcards.experiment),
        code=lambda wildcards: fingerprint(
            "estimate_choices", *map(tasks.part, task_types(wildcards.experiment).values())
        ),
    wildcard_constraints:
        experiment="|".join(experiments.CHOICES),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/estimate_choices.py"


rule estimate_label_price:
    message:
        "Estimating the price of labels of the target"
    localrule: True
    input:
        outcomes=lambda _: outcomes_of_cells("label_free"),
    output:
        table=TABLE.format(experiment=LABEL_PRICE),
        record=f"{TABLE.format(experiment=LABEL_PRICE)}.provenance.json",
    log:
        f"{LOGS}/estimate_label_price/{STUDY.name}.log",
    params:
        types=lambda _: task_types("label_free"),
        code=lambda _: fingerprint(
            "estimate_label_price",
            *map(tasks.part, task_types("label_free").values()),
        ),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/estimate_label_price.py"


rule compare_vectors:
    message:
        "Comparing language vectors"
    localrule: True
    input:
        adapters=files_of(vector_adapters("similarity")),
        initial=files_of(vector_origins("similarity")),
    output:
        table=TABLE.format(experiment="similarity"),
        record=f"{TABLE.format(experiment='similarity')}.provenance.json",
    log:
        f"{LOGS}/compare_vectors/{STUDY.name}.log",
    params:
        adapters=vector_adapters("similarity"),
        initial=vector_origins("similarity"),
        code=fingerprint("compare_vectors"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/compare_vectors.py"


rule estimate_density:
    message:
        "Estimating the density of the weights of language vectors"
    localrule: True
    input:
        adapters=files_of(vector_adapters("sparsity")),
        initial=files_of(vector_origins("sparsity")),
    output:
        table=TABLE.format(experiment="sparsity"),
        record=f"{TABLE.format(experiment='sparsity')}.provenance.json",
    log:
        f"{LOGS}/estimate_density/{STUDY.name}.log",
    params:
        adapters=vector_adapters("sparsity"),
        initial=vector_origins("sparsity"),
        layers=lambda _: STUDY.experiments["sparsity"].layers,
        code=fingerprint("estimate_density"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/estimate_density.py"


rule compare_with_paper:
    message:
        "Comparing this study with the paper's numbers and claims"
    localrule: True
    input:
        tables=lambda _: [TABLE.format(experiment=name) for name in compared_with_paper()],
        gains=[GAINS.format(experiment=name) for name in experiments.claimed(STUDY)],
        outcomes=compared_outcomes,
    output:
        table=TABLE.format(experiment="reproduction"),
        claims=CLAIMS,
        record=f"{TABLE.format(experiment='reproduction')}.provenance.json",
    log:
        f"{LOGS}/compare_with_paper/{STUDY.name}.log",
    params:
        study=STUDY.name,
        task_language=STUDY.task_language,
        types=lambda _: compared_types(),
        parallel=lambda _: parallel(compared_types()),
        paper=PAPER,
        code=lambda _: fingerprint(
            "compare_with_paper", *map(tasks.part, compared_types().values())
        ),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/compare_with_paper.py"


rule format_table:
    message:
        "Writing the table of {wildcards.experiment} as Markdown and LaTeX"
    localrule: True
    input:
        table=TABLE,
        gains=lambda wildcards: gains_table(wildcards.experiment),
        choices=lambda wildcards: choices_table(wildcards.experiment),
        price=lambda wildcards: price_table(wildcards.experiment),
        claims=lambda wildcards: claims_table(wildcards.experiment),
    output:
        markdown=report(
            f"{R}/tables/{{experiment}}.md",
            caption="../workflow/report/experiment.rst",
            category="{experiment}",
        ),
        latex=f"{R}/tables/{{experiment}}.tex",
        record=f"{R}/tables/{{experiment}}.md.provenance.json",
    log:
        f"{LOGS}/format_table/{{experiment}}.log",
    params:
        caption=lambda wildcards: caption(wildcards.experiment),
        missing=lambda wildcards: missing_cells(wildcards.experiment),
        paper=PAPER,
        code=fingerprint("format_table"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/format_table.py"


rule draw_figure:
    message:
        "Plotting {wildcards.experiment}"
    localrule: True
    input:
        table=TABLE,
        gains=lambda wildcards: gains_table(wildcards.experiment),
        choices=lambda wildcards: choices_table(wildcards.experiment),
    output:
        pdf=report(
            f"{FIGURE}.pdf",
            caption="../workflow/report/experiment.rst",
            category="{experiment}",
        ),
        png=f"{FIGURE}.png",
        record=f"{FIGURE}.pdf.provenance.json",
    log:
        f"{LOGS}/draw_figure/{{experiment}}.log",
    params:
        caption=lambda wildcards: caption(wildcards.experiment),
        code=fingerprint("draw_figure"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/draw_figure.py"


rule draw_learning_curves:
    message:
        "Plotting learning curves"
    localrule: True
    input:
        logs=training_logs,
    output:
        pdf=report(
            f"{FIGURE.format(experiment='learning_curves')}.pdf",
            caption="../workflow/report/learning_curves.rst",
            category="training",
        ),
        png=f"{FIGURE.format(experiment='learning_curves')}.png",
        record=f"{FIGURE.format(experiment='learning_curves')}.pdf.provenance.json",
    log:
        f"{LOGS}/draw_learning_curves/{STUDY.name}.log",
    params:
        caption=lambda _: caption(),
        code=fingerprint("draw_learning_curves"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/draw_learning_curves.py"


rule draw_label_price:
    message:
        "Plotting the price of labels of the target"
    localrule: True
    input:
        price=TABLE.format(experiment=LABEL_PRICE),
        rules=TABLE.format(experiment="label_free"),
    output:
        pdf=report(
            f"{FIGURE.format(experiment=LABEL_PRICE)}.pdf",
            caption="../workflow/report/experiment.rst",
            category="label_free",
        ),
        png=f"{FIGURE.format(experiment=LABEL_PRICE)}.png",
        record=f"{FIGURE.format(experiment=LABEL_PRICE)}.pdf.provenance.json",
    log:
        f"{LOGS}/draw_label_price/{STUDY.name}.log",
    params:
        caption=lambda _: caption("label_free"),
        code=fingerprint("draw_label_price"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/draw_label_price.py"
