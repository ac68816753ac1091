# Where the numbers come from, from the records of all jobs. These rules describe jobs, so they
# leave no records of their own.


def study_results(_):
    """Every result of the study; what there is of it with allow_missing."""
    names = [path for name in STUDY.experiments for path in experiment_results(name)]
    return there([*names, *learning_curves()])


rule gather_provenance:
    message:
        "Gathering the records behind the results"
    localrule: True
    input:
        study_results,
    output:
        graph=f"{R}/provenance/graph.json",
        page=f"{R}/provenance/index.html",
        stages=multiext(f"{R}/provenance/stages", ".svg", ".pdf"),
    log:
        f"{LOGS}/gather_provenance/{STUDY.name}.log",
    params:
        results=R,
        code=fingerprint("gather_provenance"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/gather_provenance.py"


rule provenance:
    localrule: True
    input:
        rules.gather_provenance.output,
