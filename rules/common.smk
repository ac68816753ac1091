# Path patterns and input functions. Studies are read and expanded by langarith.study.

import os
from functools import cache

from langarith import adapter_format, layout, merging, tasks
from langarith.data import hub, miniature
from langarith.errors import InputError
from langarith.evaluation import rules_of_study, selection
from langarith.files import sha256
from langarith.jobs.fingerprint import fingerprint
from langarith.operands import Operand, budget_tokens, parse_operands, point_text
from langarith.results.names import MASKED_LM_LOSS
from langarith.results.paper import stated
from langarith.study import experiments, grid, loading, pool, schema, sources


def load_study():
    """The study after --configfile, or config.yaml; --config overrides top-level keys."""
    try:
        if len(STUDY_FILES) > 1:
            raise InputError(
                f"two studies are named ({', '.join(STUDY_FILES)}): give one, which may say "
                "'extends: OTHER'"
            )
        study = loading.load_for_run(STUDY_FILES[0], STUDY_OVERRIDES)
        if study.corpora.source == "miniature":
            miniature.refuse_unknown([*study.languages, *study.corpora.translations])
        rules_of_study.refuse_unfit(study, STUDY_FILES[0])
    except InputError as error:
        refuse(error)
    return study


STUDY = load_study()
STUDY_FILE = STUDY_FILES[0]
TASK_LANGUAGE = Operand(STUDY.task_language)
R = STUDY.results_dir
CHECKPOINTS = STUDY.checkpoint_dir or f"{R}/checkpoints"
ENVIRONMENT = f"{ROOT}/envs/langarith.yaml"

# --- path patterns, which langarith.layout has relative to the results folder ---
TOKENIZER_FILES, ENCODER_FILES = layout.TOKENIZER_FILES, layout.ENCODER_FILES
ADAPTER_FILES, HEAD_FILES = adapter_format.ADAPTER_FILES, adapter_format.HEAD_FILES
TOKENIZER = f"{R}/{layout.TOKENIZER}"
ENCODER = f"{R}/{layout.ENCODER}"
TOKENS = f"{R}/{layout.TOKENS}"
INITIAL = f"{R}/{layout.INITIAL}"
LEFT_OUT = f"{R}/{layout.LEFT_OUT}"
MASKED_LM = f"{R}/{layout.MASKED_LM}"
FISHER = f"{R}/{layout.FISHER}"
READY_CHECK = f"{R}/{layout.READY_CHECK}"
LANGUAGE_ADAPTER = f"{R}/{layout.LANGUAGE_ADAPTER}"
TASK_ADAPTER = f"{R}/{layout.TASK_ADAPTER}"
READY_TASK = f"{R}/{layout.READY_TASK}"
CELL = f"{R}/{layout.CELL}"
CHECK = f"{R}/{layout.CHECK}"
TABLE = f"{R}/{layout.TABLE}"
GAINS = f"{R}/{layout.GAINS}"
CHOICES = f"{R}/{layout.CHOICES}"
CHOSEN = f"{R}/{layout.CHOSEN}"
CLAIMS = f"{R}/{layout.CLAIMS}"
FIGURE = f"{R}/{layout.FIGURE}"
LABEL_PRICE = layout.LABEL_PRICE
LOGS = f"{R}/logs"
restore_study_file()


wildcard_constraints:
    **layout.WILDCARDS,


# --- inputs of jobs ---
def folder_files(folder, names, **wildcards):
    return [f"{folder.format(**wildcards)}/{name}" for name in names]


def base_model(name, pretrained, files):
    """Files of a base model: local, downloaded, or pretrained into the results folder."""
    if STUDY.models[name].source == "pretrain":
        own = [file for file in files if pretrained != TOKENIZER or file in TOKENIZER_FILES]
        return folder_files(pretrained, own, model=name)
    return [sources.model_file(STUDY, name, file) for file in files]


def tokenizer(model):
    """Tokenizer files of a model, or of the model that it starts from."""
    # only the model's configuration may name the tokenizer's class
    files = [*TOKENIZER_FILES[:2], "config.json"]
    return start_files(model, files) or base_model(model, TOKENIZER, files)


def start_files(model, files=ENCODER_FILES):
    """Files of the model that a pretrained one starts from; none if it starts from nothing."""
    if STUDY.models[model].source != "pretrain":
        return []
    paths = [sources.given_file(STUDY, model, file) for file in files]
    return paths if all(paths) else []


def encoder(model):
    """Weights and configuration of a base model."""
    return base_model(model, ENCODER, ENCODER_FILES)


def model_shards(model):
    """Paths of the raw shards that a base model and its tokenizer learn from; none of a given one."""
    spec = STUDY.models[model]
    languages = spec.languages if spec.source == "pretrain" else []
    return [path for language in languages for path in sources.shards(STUDY, language)]


@cache
def raw_shards(language):
    """Paths of a language's raw shards, by the names of their token streams."""
    return {sources.shard_name(path): path for path in sources.shards(STUDY, language)}


def raw_shard(wildcards):
    """The raw shard that a token stream is made from."""
    return raw_shards(wildcards.language)[wildcards.shard]


def token_streams(wildcards):
    """Token streams of a language, as many as its budget may reach, in the order it reads them."""
    return [
        TOKENS.format(
            model=wildcards.model, language=wildcards.language, shard=sources.shard_name(path)
        )
        for path in from_grid(sources.shards, wildcards.language, wildcards.budget)
    ]


def initial_folder(model, kind):
    """The folder of the common initialisation that adapters of a kind start from."""
    if kind == "language" and STUDY.adapters.language.leave_out:
        return LEFT_OUT.format(model=model)
    return INITIAL.format(model=model, kind=kind)


def initial_adapter(kind):
    """The common initialisation that adapters of a kind start from."""
    return lambda wildcards: folder_files(initial_folder(wildcards.model, kind), ADAPTER_FILES)


def language_adapter(model, operand, seed):
    """Files of one language adapter, trained here or ready-made."""
    if sources.is_ready_operand(STUDY, model, operand):
        return [sources.ready_adapter(STUDY, model, operand, file) for file in ADAPTER_FILES]
    return folder_files(adapter_path(LANGUAGE_ADAPTER, model, operand, seed), ADAPTER_FILES)


def operands(model):
    """Every operand that the experiments merge on a model."""
    cells = [cell for cell in experiments.all_cells(STUDY) if cell.model == model]
    return list(dict.fromkeys(operand for cell in cells for operand in cell.operands))


def ready_operands(model):
    """Ready-made adapters that are merged."""
    return [o for o in operands(model) if sources.is_ready_operand(STUDY, model, o)]


def trains_adapters(model):
    """Whether adapters that are trained here are merged, too."""
    return len(ready_operands(model)) < len(operands(model))


def adapter_check(model, *operands):
    """The check that ready-made adapters among operands fit all adapters merged on a model.

    Adapters that are trained here need no check.
    """
    ready = any(sources.is_ready_operand(STUDY, model, operand) for operand in operands)
    return READY_CHECK.format(model=model) if ready else []


def task_language_adapter(wildcards):
    """The language adapter below a task adapter: the task language's, of the same seed."""
    return language_adapter(wildcards.model, TASK_LANGUAGE, wildcards.seed)


def ready_task_adapter(model, task):
    """Files of a ready-made task adapter and its head; none if it is trained here."""
    files = [
        sources.ready_task_adapter(STUDY, model, task, file)
        for file in [*ADAPTER_FILES, *HEAD_FILES]
    ]
    return [file for file in files if file]


def task_adapter_folder(model, task, seed):
    """The folder of a task adapter: of its training, or of the copy of a ready-made one."""
    ready = task in STUDY.models[model].task_adapters
    return (READY_TASK if ready else TASK_ADAPTER).format(model=model, task=task, seed=seed)


def task_adapter(wildcards):
    """Files of a task adapter, its head and its label set."""
    folder = task_adapter_folder(wildcards.model, wildcards.task, wildcards.seed)
    return folder_files(folder, [*ADAPTER_FILES, *HEAD_FILES, "task.json"])


def task_split(split):
    """The file of one split of a task in the task language."""
    return lambda wildcards: sources.task_file(STUDY, wildcards.task, STUDY.task_language, split)


def task_check(task, language):
    """The check that a task's files can be read; generated files need none."""
    if STUDY.tasks[task].source == "miniature":
        return []
    return CHECK.format(task=task, language=language)


# --- input, output and parameters of sweeps of all methods ---
def cell_inputs(method):
    """Files of one cell: the operands, the task adapter with its task, the base model.

    One function for `unpack` returns all of them: Snakemake inspects the signature of every
    function for every job, which takes longer than the functions themselves.
    """
    return lambda wildcards: merge_inputs(wildcards, method) | {
        "task_adapter": task_adapter(wildcards),
        "validation": sources.task_file(STUDY, wildcards.task, wildcards.target, "validation"),
        "test": sources.task_file(STUDY, wildcards.task, wildcards.target, "test"),
        "checked": task_check(wildcards.task, wildcards.target),
    }


def merge_inputs(wildcards, method):
    """Files of a merge of language adapters: the operands and the base model."""
    operands = parse_operands(wildcards.operands)
    checked = adapter_check(wildcards.model, *operands)
    return {
        "encoder": encoder(wildcards.model),
        "tokenizer": tokenizer(wildcards.model),
        "operands": [
            file
            for operand in operands
            for file in language_adapter(wildcards.model, operand, wildcards.seed)
        ],
        # adapters without a check are trained here from it, so that it exists for every method
        "origin": [] if checked else initial_adapter("language")(wildcards),
        "adapters": checked,
        "fishers": [
            fisher_file(wildcards.model, operand, wildcards.seed)
            for operand in operands
            if merging.get(method).needs_fisher
        ],
    }


def masked_lm_inputs(wildcards):
    """Files of the masked-LM losses of a merge, with the held-out raw text of the target."""
    return merge_inputs(wildcards, wildcards.method) | {
        "tokens": held_out(wildcards.model, wildcards.target)
    }


def held_out(model, language):
    """Token streams of the held-out raw text of a language."""
    shards = map(sources.shard_name, sources.held_out_shards(STUDY, language))
    return [TOKENS.format(model=model, language=language, shard=shard) for shard in shards]


def fisher_file(model, operand, seed):
    """The Fisher information of one language adapter."""
    return f"{adapter_path(FISHER, model, operand, seed)}/{layout.FISHER_FILE}"


def adapter_path(pattern, model, operand, seed):
    """A pattern of paths with the wildcards of one language adapter."""
    return pattern.format(model=model, language=operand.language, budget=operand.budget, seed=seed)


def sweep_outputs(method, operands):
    """Files of the cells of a method: a score per point, the chosen one, predictions, record.

    A refined search has more points, which are only known in the job; its record lists their files.
    """
    folder = CELL.replace("{method}", method)
    points = map(point_text, grid.search(STUDY, method, operands).first)
    return {
        "selected": f"{folder}/selected.json",
        "curve": [f"{folder}/lambda={point}.json" for point in points],
        "outcomes": f"{folder}/outcomes.parquet",
        "predictions": f"{folder}/predictions.parquet",
        "record": f"{folder}/provenance.json",
    }


SWEEPS = experiments.sweeps(STUDY)  # method and number of operands of each rule


def sweep_rule(method, operands):
    """`sweep_la`, or `sweep_la_3` for more than the fewest operands: points depend on both."""
    fewest = merging.get(method).fewest_operands
    return f"{layout.SWEEP}{method}" + (f"_{operands}" if operands > fewest else "")


def sweep_log(method, operands):
    name = "{model}-{task}-{target}-{operands}-seed{seed}.log"
    return f"{LOGS}/{sweep_rule(method, operands)}/{name}"


def lambdas_of(wildcards):
    """The numbers of a merge's points, and how they are searched."""
    return grid.lambdas(STUDY, wildcards.method, len(parse_operands(wildcards.operands)))


TOKENIZER_LOG = f"{LOGS}/train_tokenizer/{{model}}.log"

MODEL_LOG = f"{LOGS}/pretrain_model/{{model}}.log"

READY_LOG = f"{LOGS}/check_adapters/{{model}}.log"

CHECK_LOG = f"{LOGS}/check_task_data/{{task}}-{{language}}.log"

MASKED_LM_LOG = (
    f"{LOGS}/score_masked_lm/{{model}}-{{target}}-{{method}}-{{operands}}-seed{{seed}}.log"
)

FISHER_LOG = f"{LOGS}/estimate_fisher/{{model}}-{{language}}@{{budget}}-seed{{seed}}.log"


def code_of_sweep(method):
    """Fingerprint of a sweep's code: that of its merge method and of its task's type included."""
    return lambda wildcards: fingerprint(
        "sweep", merging.part(method), tasks.part(sources.task_type(STUDY, wildcards.task))
    )
