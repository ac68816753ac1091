# Path patterns and input functions. What a study means is in workflow/langarith/study.py.

import os
from types import SimpleNamespace

from langarith import hub, miniature
from langarith import study as grid
from langarith.errors import InputError
from langarith.provenance import fingerprint

# Jobs import the library from here, wherever they run, and none asks the network: the rules of
# download.smk alone lift that.
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [f"{workflow.basedir}/workflow", *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
    HF_HUB_OFFLINE="1",
)

STUDY_FILES = [str(path) for path in workflow.config_settings.configfiles or ["config.yaml"]]


def load_study():
    """The study after --configfile, or config.yaml; --config overrides top-level keys."""
    try:
        if len(STUDY_FILES) > 1:
            raise InputError(
                f"two studies are named ({', '.join(STUDY_FILES)}): give one, which may say "
                "'extends: OTHER'"
            )
        study = grid.load(STUDY_FILES[0], workflow.config_settings.config)
        grid.refuse_foreign_results(study)
        if study.corpora.source == "miniature":
            miniature.refuse_unspoken(study.languages)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    return study


STUDY = load_study()
STUDY_FILE = STUDY_FILES[0]
R = STUDY.results_dir
CHECKPOINTS = STUDY.checkpoint_dir or f"{R}/checkpoints"
ENVIRONMENT = f"{workflow.basedir}/envs/langarith.yaml"

# --- path patterns (the contract of docs/layout.md) ---
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
ENCODER_FILES = ["config.json", "model.safetensors"]
TOKENIZER = f"{R}/models/{{model}}/tokenizer"
ENCODER = f"{R}/models/{{model}}/encoder"
TOKENS = f"{R}/tokens/{{model}}/{{language}}/{{shard}}.arrow"
ADAPTER_FILES = ["adapter_config.json", "adapter.safetensors"]
HEAD_FILES = ["head_config.json", "model_head.safetensors"]
INITIAL = f"{R}/adapters/{{model}}/initial/{{kind}}"
READY_CHECK = f"{R}/adapters/{{model}}/ready.json"
LANGUAGE_ADAPTER = f"{R}/adapters/{{model}}/language/{{language}}@{{budget}}/seed{{seed}}"
TASK_ADAPTER = f"{R}/adapters/{{model}}/task/{{task}}/seed{{seed}}"
CELL = f"{R}/evaluation/{{model}}/{{task}}/{{target}}/{{method}}/{{left}}+{{right}}/seed{{seed}}"
TABLE = f"{R}/tables/{{experiment}}.csv"
FIGURE = f"{R}/figures/{{experiment}}"
LOGS = f"{R}/logs"


wildcard_constraints:
    model="[^/]+",
    task="[^/]+",
    language="[A-Za-z-]+",
    target="[A-Za-z-]+",
    budget=r"full|\d+[kMB]?",
    left=r"[A-Za-z-]+(@\d+[kMB]?)?",
    right=r"[A-Za-z-]+(@\d+[kMB]?)?",
    seed=r"\d+",
    shard="[^/]+",
    kind="language|task",


onstart:
    Path(R).mkdir(parents=True, exist_ok=True)
    Path(R, "study.json").write_text(grid.identity(STUDY), encoding="utf-8")


# --- what a job reads ---
def folder_files(folder, names, **wildcards):
    return [f"{folder.format(**wildcards)}/{name}" for name in names]


def base_model(name, pretrained, files):
    """Files of a base model: brought, downloaded, or pretrained into a folder of the results."""
    if STUDY.models[name].source == "pretrain":
        own = [file for file in files if pretrained != TOKENIZER or file in TOKENIZER_FILES]
        return folder_files(pretrained, own, model=name)
    return [grid.model_file(STUDY, name, file) for file in files]


def tokenizer(wildcards):
    """Tokenizer files of a model."""
    # a tokenizer's class may stand in the model's configuration alone
    return base_model(wildcards.model, TOKENIZER, [*TOKENIZER_FILES[:2], "config.json"])


def encoder(wildcards):
    """Weights and configuration of a base model."""
    return base_model(wildcards.model, ENCODER, ENCODER_FILES)


def raw_shard(wildcards):
    """The raw shard that a token stream is made from."""
    shards = {grid.shard_name(path): path for path in grid.shards(STUDY, wildcards.language)}
    return shards[wildcards.shard]


def token_streams(wildcards):
    """Token streams of a language in the order in which budgets read them."""
    return [
        TOKENS.format(
            model=wildcards.model, language=wildcards.language, shard=grid.shard_name(path)
        )
        for path in grid.shards(STUDY, wildcards.language, wildcards.budget)
    ]


def initial_adapter(kind):
    """The common initialisation that adapters of a kind start from."""
    return lambda wildcards: folder_files(INITIAL, ADAPTER_FILES, model=wildcards.model, kind=kind)


def language_adapter(model, operand, seed):
    """Files of one language adapter, trained here or ready-made."""
    operand = grid.Operand.parse(operand)
    if grid.ready_adapter(STUDY, model, operand, ""):
        return [grid.ready_adapter(STUDY, model, operand, file) for file in ADAPTER_FILES]
    return folder_files(
        LANGUAGE_ADAPTER,
        ADAPTER_FILES,
        model=model,
        language=operand.language,
        budget=operand.budget,
        seed=seed,
    )


def operands(model):
    """Every operand that the experiments merge on a model."""
    cells = [cell for cell in grid.all_cells(STUDY) if cell.model == model]
    return list(dict.fromkeys(operand for cell in cells for operand in (cell.left, cell.right)))


def ready_adapters(model):
    """Languages whose ready-made adapters are merged."""
    ready = [o for o in operands(model) if grid.ready_adapter(STUDY, model, o, "")]
    return [operand.language for operand in ready]


def trains_adapters(model):
    """Whether adapters that are trained here are merged, too."""
    return len(ready_adapters(model)) < len(operands(model))


def checked_adapters(*languages):
    """Proof that the ready-made adapters among a job's operands fit all that are merged.

    Without languages, a cell's own operands are asked. Adapters trained here need no proof.
    """

    def proof(wildcards):
        asked = languages or (wildcards.left, wildcards.right)
        ready = [
            grid.ready_adapter(STUDY, wildcards.model, grid.Operand.parse(text), "")
            for text in asked
        ]
        return READY_CHECK.format(model=wildcards.model) if any(ready) else []

    return proof


def operand_adapter(side):
    """The language adapter on one side of a merge."""
    return lambda wildcards: language_adapter(
        wildcards.model, getattr(wildcards, side), wildcards.seed
    )


def task_language_adapter(wildcards):
    """The language adapter below a task adapter: the task language's, of the same seed."""
    return language_adapter(wildcards.model, STUDY.task_language, wildcards.seed)


def task_adapter(wildcards):
    """Files of a trained task adapter, its head and its label set."""
    return folder_files(
        TASK_ADAPTER,
        [*ADAPTER_FILES, *HEAD_FILES, "task.json"],
        model=wildcards.model,
        task=wildcards.task,
        seed=wildcards.seed,
    )


def task_split(split, language=None):
    """The file of one split; of the cell's target where no language is given."""
    return lambda wildcards: grid.task_file(
        STUDY, wildcards.task, language or wildcards.target, split
    )


def checked(language=None):
    """Proof that files which users bring can be read; what the project makes needs none."""

    def proof(wildcards):
        if STUDY.tasks[wildcards.task].source == "miniature":
            return []
        return CHECK.format(task=wildcards.task, language=language or wildcards.target)

    return proof


# --- what a sweep writes ---
def sweep_outputs(method):
    """Files of one cell of a method: a score per lambda, the chosen one, predictions, record."""
    lambdas = STUDY.lambdas[method].values() if method in STUDY.lambdas else ()
    folder = CELL.replace("{method}", method)
    return {
        "selected": f"{folder}/selected.json",
        "curve": [f"{folder}/lambda={weight:.2f}.json" for weight in lambdas],
        "predictions": f"{folder}/predictions.parquet",
        "record": f"{folder}/provenance.json",
    }


# --- what an experiment asks for ---
def cells(experiment):
    try:
        return grid.cells(STUDY, experiment)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def cell_file(cell, name):
    return f"{CELL.format(**cell.wildcards)}/{name}"


def selections(wildcards):
    """The chosen lambda and scores of every cell of an experiment."""
    return [cell_file(cell, "selected.json") for cell in cells(wildcards.experiment)]


def new_points(wildcards):
    """Lambdas that a finer grid adds to sweeps that have run.

    Snakemake compares no parameters of a job with an output that it never made, and runs nothing
    for an output that nobody asks for: so a finer grid would go unnoticed.
    """
    found = []
    for cell in cells(wildcards.experiment):
        if os.path.exists(cell_file(cell, "selected.json")):
            points = [
                cell_file(cell, f"lambda={weight:.2f}.json")
                for weight in STUDY.lambdas[cell.method].values()
            ]
            found += [path for path in points if not os.path.exists(path)]
    return found


def task_runs(cells):
    """(model, task, seed) of the task adapters below some cells."""
    return list(dict.fromkeys((cell.model, cell.task, cell.seed) for cell in cells))


def task_scores(wildcards):
    """Scores of the task adapters on their own language: a reference row."""
    return [
        f"{TASK_ADAPTER.format(model=model, task=task, seed=seed)}/task.json"
        for model, task, seed in task_runs(cells(wildcards.experiment))
    ]


def training_logs(wildcards):
    """Metrics logs of every adapter that the study's experiments stand on."""
    found = []
    for cell in grid.all_cells(STUDY):
        for operand in (cell.left, cell.right):
            if grid.ready_adapter(STUDY, cell.model, operand, ""):
                continue
            found.append(
                LANGUAGE_ADAPTER.format(
                    model=cell.model,
                    language=operand.language,
                    budget=operand.budget,
                    seed=cell.seed,
                )
            )
        found.append(TASK_ADAPTER.format(model=cell.model, task=cell.task, seed=cell.seed))
    return [f"{folder}/metrics.jsonl" for folder in dict.fromkeys(found)]


def hub_files(_):
    """Every file of the hub that the study's experiments stand on."""
    wanted = []
    for cell in grid.all_cells(STUDY):
        wildcards = SimpleNamespace(**cell.wildcards)
        wanted += [*encoder(wildcards), *tokenizer(wildcards)]
        for operand in {cell.left, cell.right, grid.Operand(STUDY.task_language)}:
            if grid.ready_adapter(STUDY, cell.model, operand, ""):
                wanted += language_adapter(cell.model, str(operand), cell.seed)
            else:
                wanted += grid.shards(STUDY, operand.language, operand.budget)
        for language in (cell.target, STUDY.task_language):
            wanted += [
                grid.task_file(STUDY, cell.task, language, split)
                for split in grid.needed_splits(STUDY, language)
            ]
    return sorted({path for path in wanted if path.startswith(f"{hub.FOLDER}/")})


def experiment_results(name):
    """A named target's files; a function, so that only a target that is asked for must be whole."""
    if name not in STUDY.experiments:
        return lambda _: missing_experiment(name)
    return expand(
        ["{table}", "{figure}.pdf", "{figure}.png"],
        table=TABLE.format(experiment=name),
        figure=FIGURE.format(experiment=name),
    )


def missing_experiment(name):
    raise WorkflowError(f"{STUDY_FILE}: no experiment '{name}'; add it under 'experiments'")


def learning_curves():
    return multiext(FIGURE.format(experiment="learning_curves"), ".pdf", ".png")


def caption():
    """What every figure states: where its numbers come from."""
    return {
        "study": STUDY.name,
        "note": STUDY.note,
        "models": list(STUDY.models),
        "seeds": STUDY.seeds,
    }
