# Where the numbers come from, from the records of all jobs. These rules describe jobs, so they
# leave no records of their own.


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
        results=lambda _: R,  # only the path, not the contents
        template=template_hash("provenance.html"),
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
        results=lambda _: R,  # only the path, not the contents
        project=lambda _: str(ROOT),
        study=STUDY_FILE,
        code=fingerprint("pack_crate"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/pack_crate.py"


rule write_report:
    message:
        "Writing the report"
    localrule: True
    input:
        study_results,
        rules.gather_provenance.output.page,  # which the report links to
    output:
        page=f"{R}/report.html",
    log:
        f"{LOGS}/write_report/{STUDY.name}.log",
    params:
        results=lambda _: R,  # only the path, not the contents
        parts=report_parts,
        template=template_hash("report.html"),
        code=fingerprint("write_report"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/write_report.py"


rule provenance:
    message:
        "The page on provenance exists"
    localrule: True
    input:
        rules.gather_provenance.output,


rule crate:
    message:
        "The crate exists"
    localrule: True
    input:
        rules.pack_crate.output,


rule report:
    message:
        "The report exists"
    localrule: True
    input:
        rules.write_report.output,
