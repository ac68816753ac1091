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


rule pack_crate:
    message:
        "Packing the study as a Workflow Run RO-Crate"
    localrule: True
    input:
        study_results,
        graph=rules.gather_provenance.output.graph,
    output:
        crate=f"{R}/crate.zip",
    log:
        f"{LOGS}/pack_crate/{STUDY.name}.log",
    params:
        results=R,
        house=workflow.basedir,
        study=STUDY_FILE,
        code=fingerprint("pack_crate"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/pack_crate.py"


rule provenance:
    localrule: True
    input:
        rules.gather_provenance.output,


rule crate:
    localrule: True
    input:
        rules.pack_crate.output,
