"""Names of libraries that no documentation promises, all in one table.

An upgrade may remove any of them. Then a test here says which file uses the name and what for.
A second group of tests searches the code for private names that the table lacks.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import snakemake.api  # noqa: F401  its modules import each other, in this order alone

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "workflow/langarith"
RUNTIME = "rules/runtime.smk"
ORIGIN = "rules/root.smk"
LOOP = "workflow/langarith/training/loop.py"


@dataclass(frozen=True)
class Name:
    """An attribute, argument or field `name` of `owner` (module, or module:class)."""

    owner: str
    name: str
    file: str
    purpose: str
    written: str = ""
    """How `file` writes the name, where it is written in another way."""


TABLE = (
    # --- Snakemake: its workflow object in the Snakefile ---
    Name("snakemake.workflow:Workflow", "dag", RUNTIME, "planned jobs, before they start"),
    Name("snakemake.workflow:Workflow", "scheduler", RUNTIME, "way to the SLURM executor"),
    Name("snakemake.workflow:Workflow", "exec_mode", RUNTIME, "main process, or within a job"),
    Name("snakemake.workflow:Workflow", "local_exec", RUNTIME, "jobs run on this machine"),
    Name("snakemake.workflow:Workflow", "executor_settings", RUNTIME, "settings of the plugin"),
    Name("snakemake.workflow:Workflow", "config_settings", RUNTIME, "--configfile, --config"),
    Name("snakemake.workflow:Workflow", "resource_settings", RUNTIME, "--set-resources"),
    Name("snakemake.workflow:Workflow", "global_resources", RUNTIME, "--resources downloads=N"),
    Name("snakemake.workflow:Workflow", "register_resource", RUNTIME, "bound on downloads"),
    Name("snakemake.workflow:Workflow", "dryrun", RUNTIME, "writes nothing"),
    Name("snakemake.workflow:Workflow", "nodes", RUNTIME, "--jobs"),
    Name("snakemake.settings.types:ResourceSettings", "cores", RUNTIME, "--cores"),
    Name("snakemake.workflow:Workflow", "configfiles", RUNTIME, "study of a module's importer"),
    Name("snakemake.workflow:Workflow", "modifier", RUNTIME, "whether this workflow is a module"),
    *(
        Name("snakemake.modules:WorkflowModifier", name, RUNTIME, "what a module is given")
        for name in (
            "is_main_snakefile",
            "modify_rulename",
            "namespace",
            "parent_modifier",
            "path_modifier",
            "globals",
        )
    ),
    Name("snakemake.path_modifier:PathModifier", "replace_prefix", RUNTIME, "prefix of a module"),
    *(
        Name(
            "snakemake.workflow:Workflow",
            f"_{hook}",
            RUNTIME,
            "hooks of a module",
            written=f'"{hook}"',
        )
        for hook in ("onstart", "onsuccess", "onerror")
    ),
    # --- Snakemake: files of a workflow that is read from a repository ---
    Name("snakemake.workflow:Workflow", "current_basedir", ORIGIN, "folder of the Snakefile"),
    Name("snakemake.sourcecache:SourceFile", "join", ORIGIN, "folder of the Snakefile"),
    Name("snakemake.sourcecache:SourceFile", "get_path_or_uri", ORIGIN, "folder of the Snakefile"),
    Name("snakemake.sourcecache:HostingProviderFile", "hosted_repo", ORIGIN, "of github(...)"),
    Name("snakemake.sourcecache:HostingProviderFile", "ref", ORIGIN, "commit of github(...)"),
    Name("snakemake.sourcecache:HostedGitRepo", "repo_clone", ORIGIN, "repository of github(...)"),
    Name("snakemake.settings.types:ConfigSettings", "configfiles", RUNTIME, "--configfile"),
    Name("snakemake.settings.types:ConfigSettings", "config", RUNTIME, "--config"),
    Name(
        "snakemake.settings.types:ResourceSettings",
        "overwrite_resources",
        RUNTIME,
        "settings of a profile for all sweeps",
    ),
    Name(
        "snakemake.settings.types:ResourceSettings",
        "_parsed_overwrite_resources",
        RUNTIME,
        "settings of a profile, read before",
    ),
    Name("snakemake.settings.types:ExecMode", "DEFAULT", RUNTIME, "the main process"),
    # --- Snakemake: scheduler, jobs, log records ---
    Name(
        "snakemake.scheduling.job_scheduler:JobScheduler",
        "_executor",
        RUNTIME,
        "the SLURM executor, for its log folder, run id and status interval",
    ),
    Name(
        "snakemake.scheduling.job_scheduler:JobScheduler",
        "exit_gracefully",
        RUNTIME,
        "no further job after Ctrl-C",
    ),
    Name("snakemake.dag:DAG", "needrun_jobs", RUNTIME, "jobs that will run"),
    Name("snakemake.dag:DAG", "get_job_group", RUNTIME, "jobs of SLURM that will be submitted"),
    Name("snakemake.jobs:Job", "is_local", RUNTIME, "jobs that are not submitted"),
    Name("snakemake.jobs:Job", "rule", RUNTIME, "whether a rule requests a GPU"),
    Name("snakemake.jobs:Job", "rules", RUNTIME, "rules of a request to SLURM"),
    Name("snakemake.jobs:Job", "resources", RUNTIME, "resources of a request to SLURM"),
    Name("snakemake.jobs:Job", "log", RUNTIME, "logs of the planned jobs, for status"),
    Name("snakemake.jobs:Job", "output", RUNTIME, "outputs of the planned jobs, for status"),
    Name("snakemake.jobs:GroupJob", "rules", RUNTIME, "rules of a request to SLURM"),
    Name("snakemake.jobs:GroupJob", "resources", RUNTIME, "resources of a request to SLURM"),
    Name("snakemake.rules:Rule", "resources", RUNTIME, "whether a rule requests a GPU"),
    Name("snakemake.resources:Resources", "copy", RUNTIME, "settings of a profile for all sweeps"),
    Name("snakemake.resources:Resources", "update", RUNTIME, "settings of a profile for one sweep"),
    Name("snakemake.logging", "logger", RUNTIME, "last lines of a failed job's logs"),
    Name(
        "snakemake_interface_logger_plugins.common:LogEvent",
        "JOB_ERROR",
        RUNTIME,
        "last lines of a failed job's logs",
        written='"job_error"',
    ),
    Name(
        "snakemake_interface_logger_plugins.common:LogEvent",
        "GROUP_ERROR",
        RUNTIME,
        "last lines of a failed group's logs",
        written='"group_error"',
    ),
    Name("snakemake.jobs:Job", "indent", RUNTIME, "a failed member of a group"),
    Name("snakemake.jobs:Job", "aux", RUNTIME, "SLURM id of a failed job"),
    Name("snakemake.jobs:GroupJob", "aux_logs", RUNTIME, "SLURM's log of a failed group"),
    Name("snakemake.jobs:GroupJob", "job_error_info", RUNTIME, "members of a failed group"),
    Name(
        "snakemake.workflow",
        "_cores",
        "workflow/langarith/cluster/slurm.py",
        "cores of a request to SLURM",
    ),
    Name("snakemake.dag:DAG", "d3dag", "benchmarks/plan_study.py", "stops after planning"),
    # --- snakemake-executor-plugin-slurm ---
    Name("snakemake_executor_plugin_slurm:Executor", "slurm_logdir", RUNTIME, "its log folder"),
    Name("snakemake_executor_plugin_slurm:Executor", "run_uuid", RUNTIME, "name of its jobs"),
    Name(
        "snakemake_executor_plugin_slurm:Executor",
        "next_seconds_between_status_checks",
        RUNTIME,
        "bound on the interval, so that SLURM forgets no job before its state is read",
    ),
    Name("snakemake_executor_plugin_slurm:ExecutorSettings", "logdir", RUNTIME, "its log folder"),
    Name(
        "snakemake_executor_plugin_slurm:ExecutorSettings",
        "jobname_prefix",
        RUNTIME,
        "beginning of the names of its jobs",
    ),
    Name(
        "snakemake_executor_plugin_slurm:ExecutorSettings",
        "init_seconds_before_status_checks",
        RUNTIME,
        "first interval between status checks",
    ),
    # --- transformers ---
    Name(
        "transformers.utils.import_utils",
        "_sklearn_available",
        "workflow/langarith/models/encoders.py",
        "leaves out the import of scikit-learn (2 s)",
    ),
    Name("transformers:Trainer", "_get_train_sampler", LOOP, "own order of rows"),
    Name("transformers:Trainer", "training_step", LOOP, "halves what does not fit into memory"),
    Name("transformers:Trainer", "compute_loss_context_manager", LOOP, "mixed precision"),
    Name(
        "transformers:Trainer",
        "current_gradient_accumulation_steps",
        LOOP,
        "mean over micro-batches",
    ),
    Name("transformers:Trainer", "model_accepts_loss_kwargs", LOOP, "mean over micro-batches"),
    Name(
        "transformers:Trainer", "floating_point_ops", LOOP, "leaves out a count that nobody reads"
    ),
    Name("transformers:Trainer", "evaluate", LOOP, "own validation"),
    Name("transformers:Trainer", "log", LOOP, "own mean of the training loss"),
    Name("transformers:Trainer", "_maybe_log_save_evaluate", LOOP, "looks at each step"),
    Name(
        "adapters.loading:AdapterLoader",
        "legacy_weights_mapping",
        "workflow/langarith/models/adapters.py",
        "names of older versions",
    ),
    Name("transformers:Trainer", "_save", LOOP, "checkpoints with trainable weights alone"),
    Name("transformers:Trainer", "_get_output_dir", LOOP, "whole checkpoints or none"),
    Name("transformers:Trainer", "_save_checkpoint", LOOP, "whole checkpoints or none"),
    Name("transformers:Trainer", "_load_from_checkpoint", LOOP, "resumes a training"),
    Name("transformers.trainer_callback", "PrinterCallback", LOOP, "removed: own progress lines"),
    Name(
        "transformers.trainer_pt_utils",
        "get_length_grouped_indices",
        "workflow/langarith/training/batching.py",
        "batches of similar length, as the Trainer makes them",
    ),
    Name(
        "transformers.activations",
        "NewGELUActivation",
        "workflow/langarith/models/adapters.py",
        "replaced by a fused kernel",
    ),
    # --- adapters ---
    Name(
        "adapters.methods.modeling",
        "Activation_Function_Class",
        "workflow/langarith/models/adapters.py",
        "replaced by a fused kernel",
    ),
    Name(
        "adapters.methods.modeling:Activation_Function_Class",
        "f",
        "workflow/langarith/models/adapters.py",
        "replaced by a fused kernel",
        written="module.f",
    ),
    Name(
        "adapters.model_mixin:InvertibleAdaptersMixin",
        "invertible_adapters_forward",
        "workflow/langarith/models/encoders.py",
        "inverse before the output embeddings",
    ),
    Name(
        "adapters.model_mixin:InvertibleAdaptersMixin",
        "invertible_adapters",
        "workflow/langarith/models/adapters.py",
        "part of the names of parameters",
    ),
    Name(
        "argparse:ArgumentParser",
        "_actions",
        "workflow/langarith/cli.py",
        "completes names of files where a command takes a path",
    ),
    # --- tokenizers, huggingface_hub, evaluate ---
    Name(
        "tokenizers.models:Unigram",
        "_resize_cache",
        "workflow/langarith/data/streams.py",
        "remembers more words than 10,000",
    ),
    Name(
        "tokenizers.models:BPE",
        "_resize_cache",
        "workflow/langarith/data/streams.py",
        "remembers more words than 10,000",
    ),
    Name(
        "huggingface_hub.constants",
        "DOWNLOAD_CHUNK_SIZE",
        "workflow/langarith/data/hub_download.py",
        "less is lost when a connection is cut",
    ),
    Name(
        "evaluate:Metric", "_info", "workflow/langarith/tasks/shared/metrics.py", "documented hook"
    ),
    Name(
        "evaluate:Metric",
        "_compute",
        "workflow/langarith/tasks/shared/metrics.py",
        "documented hook",
    ),
)


def has(owner: object, name: str) -> bool:
    """Whether a module or class has an attribute, or its source sets it, passes it or quotes it."""
    if hasattr(owner, name):
        return True
    classes = owner.__mro__ if isinstance(owner, type) else [owner]
    pattern = rf"\bself\.{name}\b[^=\n]*=|\b{name}=|[\"']{name}[\"']|^    {name}:"
    for place in classes:
        try:
            source = inspect.getsource(place)
        except (OSError, TypeError):  # written in C, or built in
            continue
        if re.search(pattern, source, re.M):
            return True
    return False


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.owner}.{row.name}")
def test_every_name_in_the_table_exists(row):
    module, _, attribute = row.owner.partition(":")
    try:
        owner = importlib.import_module(module)
        owner = getattr(owner, attribute) if attribute else owner
    except (ModuleNotFoundError, AttributeError):
        owner = ModuleType(row.owner)
    assert has(owner, row.name), (
        f"{row.owner} no longer has {row.name}, which {row.file} uses for: {row.purpose}. Find out "
        "what replaces it, or pin the version before (envs/requirements.in)"
    )


def test_a_name_that_is_gone_is_noticed():
    from snakemake_executor_plugin_slurm import Executor
    from transformers import Trainer

    for owner in (Executor, Trainer, importlib.import_module("huggingface_hub.constants")):
        assert not has(owner, "_save_everything")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.owner}.{row.name}")
def test_every_name_in_the_table_is_used_where_it_says(row):
    text = (ROOT / row.file).read_text(encoding="utf-8")
    written = row.written or row.name
    assert re.search(rf"(?<!\w){re.escape(written)}(?!\w)", text), (
        f"{row.file} does not use {written}: correct the table in {Path(__file__).name}"
    )


# --- the table is complete ---


def private(name: str) -> bool:
    """Whether a name is private; `os._exit` and `ast.AST._fields` are documented."""
    return (
        name.startswith("_") and not name.startswith("__") and name not in {"_", "_exit", "_fields"}
    )


def own_names(tree: ast.AST) -> Iterator[str]:
    """Private names that a module defines: functions, classes, variables, attributes of self."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def names_used(tree: ast.AST) -> Iterator[str]:
    """Private names that a module takes from elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in {"getattr", "hasattr", "setattr"}:
                yield from (str(a.value) for a in node.args[1:2] if isinstance(a, ast.Constant))
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))


def overrides(path: Path, tree: ast.AST) -> Iterator[str]:
    """Private methods of libraries' classes that classes of a module override."""
    methods = {
        node.name: [m.name for m in node.body if isinstance(m, ast.FunctionDef) and private(m.name)]
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.bases
    }
    if any(methods.values()):
        name = ".".join(path.relative_to(ROOT / "workflow").with_suffix("").parts)
        module = importlib.import_module(name)
        for cls, names in methods.items():
            for base in getattr(module, cls).__mro__[1:]:
                if not base.__module__.startswith("langarith"):
                    yield from (name for name in names if name in vars(base))


def test_code_uses_no_private_name_of_a_library_that_the_table_lacks():
    files = [*LIBRARY.rglob("*.py"), *(ROOT / "workflow/scripts").glob("*.py")]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    own = {name for tree in trees.values() for name in own_names(tree)}
    lacking = []
    for path, tree in trees.items():
        file = str(path.relative_to(ROOT))
        used = {name for name in names_used(tree) if private(name) and name not in own}
        used |= set(overrides(path, tree))
        known = {row.name for row in TABLE if row.file == file}
        lacking += [f"{file}: {name}" for name in sorted(used - known)]
    assert not lacking, f"add to the table in {Path(__file__).name}: {', '.join(lacking)}"


def test_rules_use_internals_of_snakemake_in_two_files_alone():
    """One finds the folder of the workflow; the other is for all else."""
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        file = str(path.relative_to(ROOT))
        code = re.sub(r"^\s*#.*$", "", path.read_text(encoding="utf-8"), flags=re.M)
        used = set(re.findall(r"(?<![\w./])workflow\.(\w+)", code))
        used |= set(re.findall(r"(?:\.|[\"'])(_[a-z]\w+)\b", code))
        known = {row.name for row in TABLE if row.file == file}
        assert used <= known, (
            f"{file} uses {sorted(used - known)}: move that to {RUNTIME} and add it to the table "
            f"in {Path(__file__).name}"
        )
        if file != RUNTIME:
            for process in ("os.environ", "sys.argv", "import gc", "onstart:", "onerror:", "warm."):
                assert process not in code, f"{file} uses {process}: move that to {RUNTIME}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import library\nlibrary.inner._hidden = 1", {"_hidden"}),
        ("getattr(thing, '_hidden', None)()", {"_hidden"}),
        ("from library._inner import part", {"_inner"}),
        ("from library import _part", {"_part"}),
        ("def _own(): ...\n_own()\nself._kept = 1\nself._kept.append(other._theirs)", {"_theirs"}),
        ("print(__file__, thing.__dict__)", set()),
    ],
)
def test_the_search_finds_private_names(code, expected):
    tree = ast.parse(code)
    assert {n for n in names_used(tree) if private(n)} - set(own_names(tree)) == expected
