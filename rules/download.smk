# Everything that needs the network: files of the Hugging Face hub, one job per file.
# These rules run where Snakemake was started (a login node); all others run offline.

HUB_FILE = f"{hub.FOLDER}/{{kind}}/{{repository}}/{{revision}}/{{file}}"

# The most downloads at once, unless --resources downloads=N sets another number.
limit_at_once("downloads", 4)


# No code fingerprint is a parameter here: a complete download is not repeated because the code that
# made it has changed.
rule download_hub_file:
    message:
        "Downloading {wildcards.file} of {wildcards.repository}"
    localrule: True
    output:
        file=HUB_FILE,
        record=f"{HUB_FILE}.provenance.json",
    log:
        f"{LOGS}/download_hub_file/{{kind}}/{{repository}}/{{revision}}/{{file}}.log",
    wildcard_constraints:
        kind="models|datasets",
        repository="[^/]+/[^/]+",
        revision="[^/]+",
        file=r"(?:(?!provenance\.json$).)+",
    resources:
        downloads=1,
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/download_hub_file.py"


rule lock_revisions:
    message:
        "Resolving the branches that the study names on the hub to commits"
    localrule: True
    log:
        f"{LOGS}/lock_revisions/{STUDY.name}.log",
    params:
        lock=str(loading.revisions_file(Path(STUDY_FILE))),
        branches=sources.hub_branches(STUDY),
        locked=STUDY.revisions,
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/lock_revisions.py"


rule fetch:
    localrule: True
    input:
        hub_files,
