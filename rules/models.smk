# The tokenizer, token streams, the base model and the initialisation of its adapters.


rule train_tokenizer:
    message:
        "Training the tokenizer of {wildcards.model}"
    input:
        shards=lambda wildcards: model_shards(wildcards.model),
    output:
        tokenizer=expand(f"{TOKENIZER}/{{file}}", file=TOKENIZER_FILES, allow_missing=True),
        record=f"{TOKENIZER}/provenance.json",
    log:
        TOKENIZER_LOG,
    params:
        vocabulary=lambda wildcards: STUDY.models[wildcards.model].vocabulary,
        max_length=lambda wildcards: STUDY.models[wildcards.model].max_length,
        reading=sources.text_reading(STUDY),
        code=fingerprint("train_tokenizer"),
    resources:
        **request(lambda wildcards: NEEDS.tokenizer(wildcards.model)),
    priority: 5  # every other job depends on it
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/train_tokenizer.py"


rule tokenize_shard:
    message:
        "Tokenising {wildcards.language}, shard {wildcards.shard}, for {wildcards.model}"
    input:
        shard=raw_shard,
        tokenizer=lambda wildcards: tokenizer(wildcards.model),
    output:
        tokens=TOKENS,
        record=f"{TOKENS}.provenance.json",
    log:
        f"{LOGS}/tokenize_shard/{{model}}-{{language}}-{{shard}}.log",
    params:
        reading=sources.text_reading(STUDY),
        code=fingerprint("tokenize_shard"),
    resources:
        **member(lambda wildcards: NEEDS.tokens(wildcards.language)),
    priority: 5  # every other job depends on it
    group:
        "tokens_{model}_{language}"
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/tokenize_shard.py"


rule pretrain_model:
    message:
        "Pretraining {wildcards.model}"
    input:
        tokenizer=lambda wildcards: tokenizer(wildcards.model),
        start=lambda wildcards: start_files(wildcards.model),
        tokens=lambda wildcards: [
            TOKENS.format(model=wildcards.model, language=language, shard=sources.shard_name(path))
            for language in STUDY.models[wildcards.model].languages
            for path in sources.shards(STUDY, language)
        ],
    output:
        encoder=expand(f"{ENCODER}/{{file}}", file=ENCODER_FILES, allow_missing=True),
        # next to the weights, so that another study can name the folder as its base model
        tokenizer=expand(f"{ENCODER}/{{file}}", file=TOKENIZER_FILES[:2], allow_missing=True),
        metrics=f"{ENCODER}/metrics.jsonl",
        record=f"{ENCODER}/provenance.json",
    log:
        MODEL_LOG,
    params:
        model=lambda wildcards: sources.pretraining(STUDY, wildcards.model),
        shards=lambda wildcards: {
            language: len(sources.shards(STUDY, language))
            for language in STUDY.models[wildcards.model].languages
        },
        text=sources.text_parts(STUDY),
        checkpoints=lambda wildcards: f"{CHECKPOINTS}/models/{wildcards.model}",
        code=fingerprint("pretrain_model"),
    threads: lambda wildcards: STUDY.models[wildcards.model].training.threads
    resources:
        **gpu_training(lambda wildcards: NEEDS.pretraining(wildcards.model)),
    priority: 5  # every other job depends on it
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/pretrain_model.py"


rule initialise_adapters:
    message:
        "Initialising the adapters of {wildcards.model}"
    input:
        encoder=lambda wildcards: encoder(wildcards.model),
    output:
        language=expand(
            f"{INITIAL}/{{file}}", kind="language", file=ADAPTER_FILES, allow_missing=True
        ),
        task=expand(f"{INITIAL}/{{file}}", kind="task", file=ADAPTER_FILES, allow_missing=True),
        record=f"{R}/adapters/{{model}}/initial/provenance.json",
    log:
        f"{LOGS}/initialise_adapters/{{model}}.log",
    params:
        adapters=STUDY.adapters.model_dump(exclude={"language": {"leave_out"}}),
        code=fingerprint("initialise_adapters"),
    conda:
        ENVIRONMENT
    script:
        "../workflow/scripts/initialise_adapters.py"


if STUDY.adapters.language.leave_out:

    rule leave_out_layers:
        message:
            "Leaving out layers of the initial language adapter of {wildcards.model}"
        localrule: True
        input:
            initial=expand(
                f"{INITIAL}/{{file}}", kind="language", file=ADAPTER_FILES, allow_missing=True
            ),
            encoder=lambda wildcards: encoder(wildcards.model)[:1],
        output:
            adapter=expand(f"{LEFT_OUT}/{{file}}", file=ADAPTER_FILES, allow_missing=True),
            record=f"{LEFT_OUT}/provenance.json",
        log:
            f"{LOGS}/leave_out_layers/{{model}}.log",
        params:
            layers=STUDY.adapters.language.leave_out,
            code=fingerprint("leave_out_layers"),
        conda:
            ENVIRONMENT
        script:
            "../workflow/scripts/leave_out_layers.py"
