"""The workflow as users run it: what a dry run plans after each kind of change, and whole runs.

Everything happens in copies of the project, so that a test may edit the code as a user would.
"""

import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from langarith import merging
from langarith.layout import Cell
from langarith.operands import Operand
from langarith.study import experiments, loading, schema, sources
from langarith.study.experiments import EXPERIMENTS, all_cells
from workspace import (
    NANO,
    PARTS,
    copy_project,
    edit,
    options,
    overlay,
    planned_jobs,
    run,
    snakemake,
)

pytestmark = pytest.mark.slow


def jobs(study: schema.Study) -> set[tuple[str, object]]:
    """Rule and object of every job of a miniature study that makes no table, from its grid."""
    cells = all_cells(study)
    runs = {run for name in study.experiments for run in experiments.runs(study, name)}
    operands = {Operand.parse(run.name) for run in runs if run.kind == "language"}
    model = study.models["tiny"]
    pretrained = model.languages if model.source == "pretrain" else []
    corpora = {(language, "full") for language in pretrained}
    shards = {
        (language, shard)
        for language, budget in corpora | {(o.language, o.budget) for o in operands}
        for shard in sources.shards(study, language, budget)
    }
    files = {(c.task, c.target) for c in cells} | {
        (run.name, study.task_language) for run in runs if run.kind == "task"
    }
    return {
        *((rule, "tiny") for rule in ("train_tokenizer", "pretrain_model") if pretrained),
        ("initialise_adapters", "tiny"),
        *(("write_miniature_corpus", language) for language, _ in shards),
        *(("tokenize_shard", shard) for shard in shards),
        *(("write_miniature_task", file) for file in files),
        *((f"train_{run.kind}_adapter", run) for run in runs),
        *((sweep_rule(cell), cell) for cell in cells),
        *(("score_masked_lm", text) for text in experiments.texts(study, "forgetting")),
    }


def sweep_rule(cell: Cell) -> str:
    """The rule of a sweep: of its method, and of the number of operands if not the fewest."""
    count = len(cell.operands)
    more = count > merging.get(cell.method).fewest_operands
    return f"sweep_{cell.method}" + (f"_{count}" if more else "")


def by_rule(found: set[tuple[str, object]]) -> Counter[str]:
    return Counter(rule for rule, _ in found)


def expected(study: schema.Study) -> Counter[str]:
    """Jobs of a whole miniature study, counted from its grid."""
    tables = shown(study, *study.experiments)
    return by_rule(jobs(study)) + tables + Counter(draw_learning_curves=1)


def shown(study: schema.Study, *experiments: str) -> Counter[str]:
    """Jobs that make the table, the sheets and the figure of experiments."""
    found: Counter[str] = Counter()
    tabulating = {
        "similarity": "compare_vectors",
        "sparsity": "estimate_density",
        "label_free": "compare_rules",
        "related_languages": "rank_related_languages",
        "reproduction": "compare_with_paper",
    }
    for name in experiments:
        found[tabulating.get(name, "tabulate")] += 1
        found["format_table"] += 1
        if EXPERIMENTS[name].gains:
            found["estimate_gains"] += 1
        if EXPERIMENTS[name].choices:
            found["estimate_choices"] += 1
        if EXPERIMENTS[name].figure:
            found["draw_figure"] += 1
        if name == "label_free":
            found.update(("estimate_label_price", "draw_label_price"))
    return found


def newly(before: schema.Study, after: schema.Study) -> Counter[str]:
    """What a changed study adds to a finished one, counted from both grids.

    New cells and adapters with their inputs, the tables and figures that show them, and the
    learning curves where the adapters are others.
    """
    output = {name: experiments.cells(before, name) for name in before.experiments}
    changed = [
        name for name in after.experiments if experiments.cells(after, name) != output.get(name)
    ]
    old, new = jobs(before), jobs(after)
    trained = {job for job in old ^ new if job[0].startswith("train_")}
    curves = Counter(draw_learning_curves=1) if trained else Counter()
    return by_rule(new - old) + shown(after, *changed) + curves


def test_the_miniature_plans_what_its_grid_says(root, tmp_path):
    project = copy_project(root, tmp_path / "project")
    study = loading.load(root / "studies/miniature.yaml")
    assert planned_jobs(project, "--profile", "profiles/local") == expected(study)


def test_the_readme_says_how_many_jobs_the_demo_has(root, tmp_path):
    project = copy_project(root, tmp_path / "project")
    plan = planned_jobs(project, "all", "report", "--profile", "profiles/local")
    assert f"({sum(plan.values())} jobs;" in (root / "README.md").read_text()


def test_the_laptop_page_says_how_many_jobs_its_study_has(root, tmp_path):
    project = copy_project(root, tmp_path / "project")
    plan = planned_jobs(project, "--configfile", "studies/laptop.yaml")
    page = (root / "docs/laptop_study.md").read_text()
    downloads = plan["download_hub_file"]
    assert f"brings {downloads} files" in page
    assert f"runs {sum(plan.values())} jobs, of which {sum(plan.values()) - downloads}" in page
    assert plan["train_language_adapter"] == 5 and f"{plan['sweep_la']} sweeps of 11 λ" in page


@pytest.mark.parametrize(
    "experiments", ["{zero_shot: {targets: [es]}}", "{similarity: {tasks: [ner]}}"]
)
def test_fetch_downloads_what_the_jobs_of_the_study_read(root, tmp_path, experiments):
    """The text of the base model's other languages, and tasks without a cell, too."""
    project = copy_project(root, tmp_path / "project")
    study = ("--configfile", "studies/laptop.yaml", "--config", f"experiments={experiments}")
    downloads = planned_jobs(project, "all", *study)["download_hub_file"]
    assert planned_jobs(project, "fetch", *study)["download_hub_file"] == downloads > 0


def test_the_comparison_with_the_paper_needs_no_table_that_it_does_not_read(root, tmp_path):
    project = copy_project(root, tmp_path / "project")
    wanted = "experiments={zero_shot: {}, ties: {}, methods: {}, label_free: {}, reproduction: {}}"
    study = ("--configfile", "studies/miniature.yaml", "--config", wanted)
    plan = planned_jobs(project, "reproduction", *study)
    assert plan["compare_with_paper"] == 1
    assert plan["tabulate"] == plan["estimate_gains"] == 2 and "compare_rules" not in plan


def test_the_papers_study_plans_what_the_paper_says(root, tmp_path):
    """Without a network. The numbers are derived from the paper in docs/paper_study.md."""
    shutil.copy(root / "config.yaml", copy_project(root, tmp_path / "project"))
    plan = planned_jobs(tmp_path / "project")
    assert {rule: plan[rule] for rule in plan if rule.startswith(("train", "sweep", "init"))} == {
        "initialise_adapters": 2,
        "train_language_adapter": (14 * 2 + 4 + 4 + 4 + 6) * 3,
        "train_task_adapter": 3 * 2 * 3,
        "sweep_la": (35 * 2 * 3 + 14 * 2 + 20 - 4) * 3,
        "sweep_ties20": 13 * 3,
        "sweep_ties80": 13 * 3,
    }
    assert (plan["tabulate"], plan["format_table"], plan["draw_figure"]) == (6, 10, 8)
    assert (plan["estimate_gains"], plan["estimate_choices"]) == (5, 4)
    assert (plan["download_hub_file"], plan["tokenize_shard"], plan["check_task_data"]) == (
        164 + 2 * 4 + (14 * 2 + 3) + (13 * 2 + 3) + 2 + 9 + 1 + 1,
        164 + 141,
        15 + 15 + 10,
    )
    assert not set(plan) & {"pretrain_model", "train_tokenizer", "write_miniature_corpus"}
    jobs = f"{sum(plan.values()):,}"  # without `all`, which only gathers
    for page in ("docs/slurm.md", "docs/paper_study.md"):  # others state what was measured
        text = (root / page).read_text()
        assert set(re.findall(r"\b1,6\d\d(?= jobs)", text)) == {jobs}, page
    # the sums of the tables
    page = (root / "docs/slurm.md").read_text()
    rows = re.findall(r"^\| (\d+) [`a-z].* \| \d+ \|", page, re.M)
    assert sum(map(int, rows)) == sum(plan.values())


def test_a_finished_study_has_nothing_to_do(project):
    assert "Nothing to be done" in run(project, "-n", *NANO)


def test_trainings_that_others_wait_for_come_first(copy):
    """The task language's adapter, then the task adapter, then the adapters of other languages."""
    output = run(
        copy, "--touch", "--forcerun", "train_language_adapter", "--configfile",
        "studies/nano.yaml", "--cores", "1",
    )  # fmt: skip
    order = re.findall(r"Training the (language adapter \w+|\w+ adapter)", output)
    assert order[:2] == ["language adapter en", "ner adapter"]
    assert set(order[2:]) == {"language adapter es", "language adapter fr"}


def test_every_job_left_a_record_and_a_log(project):
    results = project / "results/nano"
    records = [json.loads(p.read_text()) for p in results.rglob("*provenance.json")]
    counted = Counter(record["rule"] for record in records)
    assert counted == expected(loading.load(project / "studies/nano.yaml"))
    for record in records:
        assert (project / record["log"]).is_file()
        assert record["outputs"]
        for path, output in record["outputs"].items():
            assert (project / path).stat().st_size == output["size"]


def test_nothing_is_written_outside_results(project, root):
    there = {path.name for path in project.iterdir()}
    assert there == {*PARTS, "results", ".snakemake"}
    left = [path for path in (project / "results/nano/checkpoints").rglob("*") if path.is_file()]
    assert not left
    assert not list(project.rglob(".*.partial*"))


def test_two_fresh_runs_give_identical_tables(project, root, tmp_path):
    again = copy_project(root, tmp_path / "project")
    run(again, *NANO, "results/nano/tables/zero_shot.csv")
    table = "results/nano/tables/zero_shot.csv"
    assert filecmp.cmp(project / table, again / table, shallow=False)


def test_the_table_has_the_columns_and_rows_of_the_contract(project):
    import pandas as pd

    table = pd.read_csv(project / "results/nano/tables/zero_shot.csv", keep_default_na=False)
    assert list(table.columns) == (
        "experiment,model,task,target,method,left,right,operands,budget,seed,lambda,split,"
        "selected,metric,value,examples"
    ).split(",")
    la = table[(table.method == "la") & (table.metric == "f1") & (table.target == "es")]
    lambdas = loading.load(project / "studies/nano.yaml").lambdas["la"].values()
    assert sorted(la[la.split == "validation"]["lambda"].astype(float)) == list(lambdas)
    assert {0.0, 0.5, 1.0} <= set(la[la.split == "test"]["lambda"].astype(float))
    assert set(table.method) == {"la", "none", "majority", "madx"}


# --- a change reruns what it can change, and nothing else ---


def grown(copy: Path, **keys: object) -> tuple[Counter[str], Counter[str]]:
    """The dry run of nano with other keys, and what both grids say it must be."""
    study = overlay(copy, "grown", **keys)
    before, after = (loading.load(copy / f"studies/{name}.yaml") for name in ("nano", "grown"))
    return planned_jobs(copy, *options(study)), newly(before, after)


@pytest.fixture
def nano(copy) -> dict:
    """The keys of the nano study."""
    return yaml.safe_load((copy / "studies/nano.yaml").read_text())


def test_adding_a_seed_computes_its_cells_alone(copy):
    plan, counted = grown(copy, seeds=[1, 2])
    assert plan == counted
    assert plan["train_task_adapter"] == 1 and plan["sweep_ties20"] == 1


def test_adding_a_language_computes_its_cells_alone(copy, nano):
    nano["tasks"]["ner"]["targets"].append("it")
    plan, counted = grown(
        copy,
        languages=["en", "es", "fr", "it"],
        tasks=nano["tasks"],
        related={"es": "fr", "fr": "es", "it": "es"},
    )
    # Italian is a target that borrows Spanish: its examples and its sweep are all that is new
    assert plan == counted
    assert plan == Counter(
        write_miniature_task=1,
        sweep_la=1,
        tabulate=1,
        estimate_gains=1,
        estimate_choices=1,
        format_table=1,
        draw_figure=1,
    )


def test_adding_a_language_as_an_operand_trains_its_adapter(copy):
    plan, counted = grown(
        copy, languages=["en", "es", "fr", "it"], related={"es": "it", "fr": "es"}
    )
    # Spanish has another pair; the corpus and the adapter of Italian are new
    assert plan["train_language_adapter"] == plan["write_miniature_corpus"] == 1
    assert plan == counted
    assert (plan["sweep_la"], plan["sweep_ties20"]) == (1, 1)


def test_adding_a_task_trains_its_adapter_and_sweeps(copy, nano):
    nano["tasks"]["nli"] = {**nano["tasks"]["ner"], "targets": ["es"]}
    plan, counted = grown(copy, tasks=nano["tasks"])
    assert plan == counted
    assert plan["train_task_adapter"] == 1 and not plan["train_language_adapter"]


def test_adding_a_budget_trains_its_adapter_on_tokens_that_are_there(copy):
    plan, counted = grown(copy, budgets={"es": ["1k", "2k"]})
    assert plan == counted
    assert plan == Counter(
        train_language_adapter=1,
        sweep_la=1,
        tabulate=1,
        estimate_gains=1,
        estimate_choices=1,
        format_table=1,
        draw_figure=1,
        draw_learning_curves=1,
    )


def test_adding_an_experiment_computes_its_cells_alone(copy, nano):
    plan, counted = grown(copy, experiments=nano["experiments"] | {"enhancement": {}})
    assert plan == counted
    assert plan == Counter(sweep_la=4, tabulate=1, estimate_gains=1, format_table=1, draw_figure=1)


def test_an_experiment_on_cells_that_are_there_computes_none(copy, nano):
    plan, counted = grown(copy, experiments=nano["experiments"] | {"lambda_impact": {}})
    assert plan == counted
    assert plan == Counter(
        tabulate=1, estimate_gains=1, estimate_choices=1, format_table=1, draw_figure=1
    )


def test_a_finer_lambda_step_recomputes_the_sweeps_and_nothing_above(copy, nano):
    finer = nano["lambdas"] | {"la": {"start": 0, "stop": 1, "step": 0.05}}
    study = overlay(copy, "finer", lambdas=finer)
    output = loading.load(copy / study)
    # every sweep of language arithmetic, none of TIES; ties shows both
    la = [cell for cell in all_cells(output) if cell.method == "la"]
    sweeps = Counter(sweep_la=len(la))
    assert planned_jobs(copy, *options(study)) == sweeps + shown(output, *output.experiments)


def test_a_refined_search_recomputes_the_sweeps_of_its_method_and_nothing_above(copy, nano):
    refined = {"start": 0.8, "stop": 1.8, "step": 0.1, "search": "refine"}
    study = overlay(copy, "refined", lambdas=nano["lambdas"] | {"ties20": refined})
    output = loading.load(copy / study)
    sweeps = Counter(f"sweep_{c.method}" for c in all_cells(output) if c.method == "ties20")
    # only `ties` shows them
    assert planned_jobs(copy, *options(study)) == sweeps + shown(output, "ties")


def test_a_comment_reruns_nothing(copy):
    for file in ("workflow/langarith/training/loop.py", "workflow/scripts/sweep.py"):
        path = copy / file
        path.write_text(path.read_text() + "\n# a remark\n")
    assert "Nothing to be done" in run(copy, "-n", *NANO)


def test_editing_a_figure_draws_it_anew_and_trains_nothing(copy):
    edit(
        copy / "workflow/langarith/results/figures/style.py", "TEXT_WIDTH = 6.3", "TEXT_WIDTH = 6.5"
    )
    assert planned_jobs(copy, *NANO) == Counter(draw_figure=3, draw_learning_curves=1)


def test_editing_the_arithmetic_repeats_the_sweeps_alone(copy):
    """Every sweep, and the tables and figures of the experiments, which are all made of sweeps."""
    edit(copy / "workflow/langarith/merging/tensors.py", "CANCELS = 1e-9", "CANCELS = 1e-8")
    study = loading.load(copy / "studies/nano.yaml")
    sweeps = Counter(f"sweep_{cell.method}" for cell in all_cells(study))
    assert {"sweep_la", "sweep_ties20"} <= set(sweeps)
    assert planned_jobs(copy, *NANO) == sweeps + shown(study, *study.experiments)


def test_editing_the_training_code_trains_anew(copy):
    edit(copy / "workflow/langarith/models/masking.py", "MASK_SEED = 0", "MASK_SEED = 1")
    plan = planned_jobs(copy, *NANO)
    whole = expected(loading.load(copy / "studies/nano.yaml"))
    for rule in ("pretrain_model", "train_language_adapter", "train_task_adapter", "sweep_la"):
        assert plan[rule] == whole[rule]
    assert not plan["train_tokenizer"] and not plan["tokenize_shard"]


def test_two_studies_never_share_a_results_folder(copy):
    study = overlay(copy, "other", name="other")
    done = snakemake(copy, "-n", *options(study))
    assert done.returncode == 1
    assert "belongs to the study 'nano'" in done.stderr and "Traceback" not in done.stderr


def test_related_languages_are_proposed_and_accepted(copy):
    nano = yaml.safe_load((copy / "studies/nano.yaml").read_text())
    nano["tasks"]["ner"]["targets"].append("it")
    # the lock of the study that nano extends knows Spanish and French, and no Italian
    study = overlay(
        copy, "asked", languages=["en", "es", "fr", "it"], tasks=nano["tasks"], related={}
    )
    done = snakemake(copy, "-n", *options(study))
    assert done.returncode == 1 and f"{study}: related.it is not set" in done.stderr
    run(copy, "related_languages", *options(study))
    table = (copy / "results/nano/tables/related_languages.csv").read_text()
    assert table.startswith("target,candidate,shared_family,distance,rank,tie_set,chosen")
    run(copy, "lock_related_languages", *options(study))
    related = loading.load(copy / study).related
    assert set(related) == {"es", "fr", "it"} and related["es"] == "fr"
    assert planned_jobs(copy, *options(study), "zero_shot")["sweep_la"] == 1


# --- a partial grid ---


def test_a_partial_grid_is_refused_unless_it_is_asked_for(copy):
    """A training failed for good: tables show what exists, mark the rest and name its log."""
    import pandas as pd

    adapter = copy / "results/nano/adapters/tiny/language/fr@full/seed1"
    cell = copy / "results/nano/evaluation/tiny/ner/es/la/en+fr/seed1"
    for lost in (adapter, cell, copy / "results/nano/tables", copy / "results/nano/figures"):
        shutil.rmtree(lost)
    assert planned_jobs(copy, *NANO)["train_language_adapter"] == 1

    asked = (*NANO, "--config", "allow_missing=true")
    plan = planned_jobs(copy, *asked)
    drawing = {
        "tabulate",
        "estimate_gains",
        "estimate_choices",
        "format_table",
        "draw_figure",
        "draw_learning_curves",
    }
    assert set(plan) <= drawing
    run(copy, "all", *asked)
    table = pd.read_csv(copy / "results/nano/tables/zero_shot.csv", keep_default_na=False)
    lost = table[table["value"] == ""]
    assert lost[["task", "target", "method", "left", "right"]].to_numpy().tolist() == [
        ["ner", "es", "la", "en", "fr"]
    ]
    output = (copy / "results/nano/tables/zero_shot.md").read_text()
    assert "tiny/ner/es/la/en+fr/seed1" in output
    assert "results/nano/logs/train_language_adapter/tiny-fr@full-seed1.log" in output
    # the whole grid comes back without the key
    assert planned_jobs(copy, *NANO)["sweep_la"] >= 1

    # a job far above failed: its log is named, not that of a sweep which never started
    shutil.rmtree(copy / "results/nano/models/tiny/encoder")
    run(copy, "zero_shot", *asked)
    output = (copy / "results/nano/tables/zero_shot.md").read_text()
    assert "results/nano/logs/pretrain_model/tiny.log" in output


# --- a plan before anything is submitted ---


def test_nothing_runs_beside_a_plan(copy):
    study = overlay(copy, "more", seeds=[1, 2])
    done = snakemake(copy, "plan", "zero_shot", *options(study))
    assert done.returncode == 1 and "zero_shot beside it would run now" in done.stderr
    assert not (copy / "results/nano/adapters/tiny/language/en@full/seed2").exists()


def test_plan_says_what_would_run_why_and_for_how_long(copy):
    assert "Nothing to be done" in run(copy, "plan", *NANO)
    study = overlay(copy, "more", seeds=[1, 2])
    output = run(copy, "plan", *options(study))
    (row,) = [line for line in output.splitlines() if line.startswith("train_task_adapter ")]
    assert "no output yet" in row and " 1 recorded " in row
    jobs = sum(planned_jobs(copy, *options(study)).values())
    assert f"{jobs} jobs, " in output


# --- a run that is interrupted ---


@pytest.mark.parametrize("whole_group", [True, False], ids=["Ctrl-C", "kill -INT"])
def test_an_interrupted_run_saves_its_training_and_names_it(copy, whole_group):
    """A terminal sends SIGINT to all processes of a run, `kill -INT` to Snakemake alone."""
    study = overlay(copy, "long", training={
        "language_adapter": {"steps": 100_000, "batch_size": 16, "learning_rate": 1.0e-2,
                             "chunk_length": 32, "evaluate_every": 50_000},
        "task_adapter": {"epochs": 2, "batch_size": 16, "learning_rate": 1.0e-2},
    })  # fmt: skip
    adapter = "results/nano/adapters/tiny/language/fr@full/seed1/adapter.safetensors"
    log = copy / "results/nano/logs/train_language_adapter/tiny-fr@full-seed1.log"
    log.unlink()
    # tests in the background ignore Ctrl-C, and so would the runs that they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = subprocess.Popen(
        [str(Path(sys.executable).with_name("snakemake")), adapter, *options(study)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and not (log.is_file() and "step " in log.read_text()):
        time.sleep(0.3)
    if whole_group:
        os.killpg(started.pid, signal.SIGINT)
    else:
        started.send_signal(signal.SIGINT)
    try:
        output = started.communicate(timeout=60)[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert started.returncode != 0
    kept = "Stopped and kept in checkpoints: language adapter fr@full, seed 1 at step "
    assert re.search(rf"^{kept}\d+\nTo continue, run the same command\n", output, re.M), output
    assert "Traceback" not in output
