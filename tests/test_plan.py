"""The plan of a run: its time from records, files and the machine; its disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from langarith.commands import check
from langarith.jobs.records import records
from langarith.planning import costs, disk, plan, recorded_times, speed, work
from langarith.progress import duration
from langarith.study import loading, schema

HERE = plan.Place("cpu", here=True)
CLUSTER = plan.Place("cuda", here=False)
ADAPTER = "adapters/tiny/language/{}@full/seed1"


@pytest.fixture
def nano(root: Path, tmp_path: Path) -> schema.Study:
    return loading.load(root / "studies/nano.yaml", {"results_dir": str(tmp_path / "results")})


def put_record(results: Path, folder: str, rule: str, **more: object) -> None:
    path = results / folder / "provenance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    basic = {"rule": rule, "inputs": {}, "device": "cpu", "precision": "fp32"}
    path.write_text(json.dumps(basic | more))


def recorded_adapter(study: schema.Study, language: str, steps: int, seconds: float) -> None:
    """The record of a language adapter that took so long for so many steps."""
    recipe = study.training.language_adapter.model_dump() | {"steps": steps}
    put_record(
        Path(study.results_dir),
        ADAPTER.format(language),
        "train_language_adapter",
        seconds=seconds,
        parameters={"recipe": recipe, "budget": None},
    )


def with_steps(study: schema.Study, steps: int) -> schema.Study:
    recipe = study.training.language_adapter.model_copy(update={"steps": steps})
    training = study.training.model_copy(update={"language_adapter": recipe})
    return study.model_copy(update={"training": training})


def adapters(study: schema.Study, place: plan.Place = HERE) -> plan.Stage:
    path = f"{study.results_dir}/{ADAPTER.format('es')}/provenance.json"
    job = plan.Pending("train_language_adapter", path, "no output yet")
    (stage,) = plan.stages(study, [job], place)
    return stage


# --- recorded times ---


def test_times_of_80_steps_are_scaled_to_a_study_of_800(nano):
    recorded_adapter(nano, "en", 80, 8.0 + plan.LOAD)
    recorded_adapter(nano, "fr", 80, 12.0 + plan.LOAD)
    stage = adapters(with_steps(nano, 800))
    assert stage.seconds == pytest.approx(100.0 + plan.LOAD)
    assert stage.source == "2 recorded"
    assert adapters(with_steps(nano, 80)).seconds == pytest.approx(10.0 + plan.LOAD)


def test_a_limited_run_gives_the_times_that_the_whole_run_lacks(nano):
    limited = nano.model_copy(update={"results_dir": f"{nano.results_dir}-limited"})
    recorded_adapter(limited, "en", 80, 8.0 + plan.LOAD)
    stage = adapters(with_steps(nano, 800))
    assert stage.seconds == pytest.approx(80.0 + plan.LOAD)
    assert stage.source == "1 recorded, limited run"
    recorded_adapter(nano, "en", 80, 4.0 + plan.LOAD)
    assert adapters(with_steps(nano, 800)).seconds == pytest.approx(40.0 + plan.LOAD)


def test_times_that_grow_with_the_data_are_not_those_of_a_limited_run(nano):
    """Nor are those of few steps on a GPU, which are mostly the start of the job."""
    limited = nano.model_copy(update={"results_dir": f"{nano.results_dir}-limited"})
    recorded_adapter(limited, "en", 80, 8.0)
    record = Path(limited.results_dir, ADAPTER.format("en"), "provenance.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"device": "cuda"}))
    for rule in ("tokenize_shard", "tabulate", "check_task_data"):
        put_record(Path(limited.results_dir), rule, rule, seconds=1.5)
    rules = {"train_language_adapter", "tokenize_shard", "tabulate", "check_task_data"}
    found = recorded_times.of_study(nano, work.Counter(nano), rules)
    assert (dict(found.rates), dict(found.means)) == ({}, {"check_task_data": [1.5]})


@pytest.mark.parametrize(("device", "threads", "seconds"), [("cpu", 1, 8.0), ("cpu", 2, 80.0)])
def test_what_a_job_waited_for_other_work_does_not_count(nano, device, threads, seconds):
    """Of several threads the computing says nothing of how well they shared it."""
    recipe = nano.training.language_adapter.model_dump()
    put_record(
        Path(nano.results_dir),
        ADAPTER.format("en"),
        "train_language_adapter",
        seconds=80.0 + plan.LOAD,
        cpu_seconds=8.0 + plan.LOAD,
        threads=threads,
        device=device,
        parameters={"recipe": recipe},
    )
    assert adapters(nano).seconds == pytest.approx(seconds + plan.LOAD)


def test_results_of_other_studies_below_do_not_count(nano, monkeypatch):
    """The paper's `results` holds the miniature's `results/miniature`."""
    inner = nano.model_copy(update={"results_dir": f"{nano.results_dir}/miniature"})
    recorded_adapter(inner, "en", 80, 8.5)
    put_record(Path(inner.results_dir), "tables", "tabulate", seconds=3.0)
    assert len(list(records(Path(nano.results_dir)))) == 2
    (Path(inner.results_dir) / "study.json").write_text("{}")
    assert list(records(Path(nano.results_dir))) == []
    assert len(list(records(Path(inner.results_dir)))) == 2
    monkeypatch.setattr(speed, "measure", lambda *_: 1e10)
    assert adapters(nano).source == "measured"


@pytest.mark.parametrize("other", [{"device": "cuda"}, {"precision": "bf16"}])
def test_times_of_another_device_or_precision_do_not_count(nano, monkeypatch, other):
    recipe = nano.training.language_adapter.model_dump()
    put_record(
        Path(nano.results_dir),
        ADAPTER.format("en"),
        "train_language_adapter",
        seconds=100.0,
        parameters={"recipe": recipe},
        **other,
    )
    monkeypatch.setattr(speed, "measure", lambda *_: 1e10)
    assert adapters(nano).source == "measured"
    assert adapters(nano, CLUSTER).source == "assumed"


def test_times_of_gpus_are_scaled_on_a_cluster(nano):
    recipe = nano.training.language_adapter.model_dump()
    put_record(
        Path(nano.results_dir),
        ADAPTER.format("en"),
        "train_language_adapter",
        seconds=2.0 + plan.LOAD,
        parameters={"recipe": recipe},
        device="cuda",
        precision="bf16",
    )
    stage = adapters(with_steps(nano, 10 * recipe["steps"]), CLUSTER)
    assert (stage.source, stage.gpu) == ("1 recorded", True)
    assert stage.seconds == pytest.approx(20.0 + plan.LOAD)


def test_a_recorded_sweep_is_scaled_by_points_and_examples(nano):
    results, cell = Path(nano.results_dir), "evaluation/tiny/ner/es/la/en+fr/seed1"
    put_record(
        results,
        cell,
        "sweep_la",
        seconds=4.0 + plan.LOAD,
        parameters={"reading": {"max_length": 64}},
    )
    # nano: 5 points of 40 and 60 examples, and the latter without a language adapter
    chosen = {"examples": {"validation": 40, "test": 60}, "validation": [{}] * 5}
    (results / cell / "selected.json").write_text(json.dumps(chosen))
    finer = nano.model_copy(
        update={"lambdas": nano.lambdas | {"la": schema.Lambdas(start=0, stop=1, step=0.05)}}
    )
    job = plan.Pending("sweep_la", f"{results}/{cell}/provenance.json", "other parameters or code")
    (stage,) = plan.stages(finer, [job], HERE)
    ratio = (21 * 100 + 60) / (5 * 100 + 60)
    assert stage.seconds == pytest.approx(4.0 * ratio + plan.LOAD)


# --- without records ---


def test_the_speed_of_this_machine_is_measured_and_said(nano, monkeypatch):
    """The measured speed is that of real products: at least what Python reaches without them."""
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    stage = adapters(with_steps(nano, 20_000))
    assert stage.source == "measured"
    case = speed.Case((2, 64, 128, 1500), 16, 32, 2, 0.2, 1, "auto")
    assert 1e8 < speed.measure(case, 0.05) < 1e13
    lines = list(plan.plan_lines([stage], 2, HERE))
    assert "1 jobs, on this CPU: about " in lines[3]
    assert "GPU-hours" not in lines[3] and "'measured'" in "\n".join(lines)


def test_the_measured_speed_is_kept_for_status_on_this_machine(nano, monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    study = with_steps(nano, 20_000)
    job = plan.Pending("train_language_adapter", f"{ADAPTER.format('es')}/provenance.json", "")
    job = replace(job, record=f"{study.results_dir}/{job.record}")

    def without_measuring() -> float | None:
        (stage,) = plan.stages(study, [job], HERE, measure=False)
        return stage.seconds

    assert without_measuring() is None  # no plan was asked for
    measured = adapters(study).seconds
    assert without_measuring() == measured > 1
    kept = Path(study.results_dir) / speed.FILE
    monkeypatch.setattr(speed.socket, "gethostname", lambda: "another")
    assert without_measuring() is None
    monkeypatch.undo()
    on = json.loads(kept.read_text())["on"]
    for speeds in (2, [1], [[{}, 1]], [[{"shape": 1, "bottlenecks": 2}, 3]]):
        kept.write_text(json.dumps({"on": on, "speeds": speeds}))
        assert without_measuring() is None
    kept.write_text("[")
    assert without_measuring() is None


def test_a_plan_of_one_target_keeps_the_speeds_of_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    kept = tmp_path / "speeds.json"
    one, two = (speed.Case((2, 32, 64, 100), 4, 16, p, 0.0, 1, "fp32", (8,)) for p in (1, 2))
    first = speed.measure_all([one], "cpu", kept)
    second = speed.measure_all([two], "cpu", kept)
    assert speed.read("cpu", kept) == first | second
    assert speed.read("cuda", kept) == {}

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(speed, "write_text", full_disk)
    assert speed.measure_all([one], "cpu", kept).keys() == {one}


def test_gpus_of_a_cluster_are_assumed_and_said(nano):
    stage = adapters(with_steps(nano, 10**9), CLUSTER)
    shape = costs.shape(nano, "tiny")
    recipe = with_steps(nano, 10**9).training.language_adapter
    operations = costs.language_modelling(recipe, shape, 2, 0)
    assert stage.seconds == pytest.approx(plan.LOAD + operations / costs.RATE)
    output = "\n".join(plan.plan_lines([stage], 100, CLUSTER))
    assert "on GPUs of a cluster" in output and "at 100 TFLOP/s" in output
    assert f"{stage.seconds / 3600:.1f} GPU-hours" in output


def test_long_times_are_days_and_a_study_too_long_for_cpus_names_the_plan_for_a_cluster():
    stage = plan.Stage("train_language_adapter", 10, "", 2e4 * 3600, "measured", gpu=False)
    lines = list(plan.plan_lines([stage], 2, HERE))
    assert "833 days" in lines[1]
    assert "about 8,333 days of computing, 200,000.0 CPU-hours" in lines[3]
    (hint,) = plan._elsewhere(Path("a.yaml"), [stage], 2, HERE)
    assert hint.endswith("a run on a cluster: snakemake plan --profile slurm --configfile a.yaml")
    assert not plan._elsewhere(Path("a.yaml"), [replace(stage, seconds=60.0)], 2, HERE)
    assert not plan._elsewhere(Path("a.yaml"), [stage], 2, plan.Place("cuda", here=False))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(89, "89 s"), (91, "2 min"), (5400, "1.5 h"), (359_000, "99.7 h"), (360_000, "4 days")],
)
def test_durations_change_their_unit(seconds, text):
    assert duration(seconds) == text


def test_threads_count_as_cpu_hours_and_share_the_cores():
    stage = plan.Stage("train_task_adapter", 4, "", 3600.0, "measured", gpu=False, threads=2)
    output = list(plan.plan_lines([stage], 4, HERE))[3]
    assert "of computing, 8.0 CPU-hours; 2.0 h with 4 cores" in output


def test_a_stage_takes_as_long_as_its_longest_job():
    stage = plan.Stage("train_task_adapter", 2, "", 600.0, "measured", gpu=False, longest=1000.0)
    assert plan.wall([stage], 2, HERE) == pytest.approx(1000.0 + plan.JOB)
    assert plan.wall([stage], 1, HERE) == pytest.approx(1200.0 + 2 * plan.JOB)
    assert "10 min, up to 17 min" in list(plan.plan_lines([stage], 2, HERE))[1]


def test_hundreds_of_tiny_jobs_take_the_time_of_their_starts():
    stage = plan.Stage("sweep_la", 400, "", 0.2, "2 recorded", gpu=False)
    assert plan.wall([stage], 2, HERE) == pytest.approx(200 * (0.2 + plan.JOB))
    assert plan.wall([stage], 400, CLUSTER) == pytest.approx(0.2 + costs.START)
    output = list(plan.plan_lines([stage], 2, HERE))[3]
    starts = plan.RUN + 200 * plan.JOB
    assert output.endswith(f"stage after stage, {duration(starts)} of it for starts")
    assert f"; {duration(starts + 40)} with 2 cores" in output
    unknown = plan.Stage("tabulate", 400, "", None, "", gpu=False)
    assert plan.wall([unknown], 2, HERE) == 0


def test_epochs_of_raw_text_are_counted():
    shape = (2, 64, 128, 1500)
    recipe = schema.LanguageModelRecipe(epochs=3, batch_size=4, learning_rate=1e-3, chunk_length=32)
    same = recipe.model_copy(update={"epochs": None, "steps": 3 * 1280 // (4 * 32)})
    by_epochs, by_steps = (costs.language_modelling(r, shape, 2, 1280) for r in (recipe, same))
    assert by_epochs == by_steps > 0


@pytest.mark.parametrize("passes", [1, 2])
def test_a_measured_layer_has_the_adapters_of_its_job(passes):
    case = speed.Case((2, 64, 128, 1500), 4, 16, passes, 0.0, 1, "fp32", (32, 16))
    layer = speed._Layer(case, 4, "cpu")
    shapes = [[tuple(w.shape) for w in adapter] for adapter in layer.adapters]
    assert shapes == [[(32, 64), (64, 32)], [(16, 64), (64, 16)]]
    layer.run()
    trained = [all(w.grad is not None for w in adapter) for adapter in layer.adapters]
    assert trained == [False, passes == 2]  # the language adapter is frozen, the base model too
    assert all(w.grad is None for w in (*layer.square, layer.up, layer.down))


def test_jobs_are_measured_with_their_adapters(nano):
    counter = work.Counter(nano)
    folder = "{}/adapters/tiny/{}/seed1/provenance.json".format
    language = counter.planned(
        "train_language_adapter", folder(nano.results_dir, "language/es@full")
    )
    task = counter.planned("train_task_adapter", folder(nano.results_dir, "task/ner"))
    factors = nano.adapters.language.reduction_factor, nano.adapters.task.reduction_factor
    widths = tuple(int(32 / factor) for factor in factors)
    assert language.case.bottlenecks == widths[:1]
    assert task.case.bottlenecks == widths


# --- files of source `files` ---


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> schema.Study:
    """A study of small files: NER of five, three and two sentences of six words."""
    monkeypatch.chdir(tmp_path)
    sentence = "".join(f"{word}\tO\n" for word in ("one", "two", "six", "ten", "Rome", "sea"))
    for language in ("en", "es"):
        for split, count in {"train": 5, "validation": 3, "test": 2}.items():
            path = Path(f"data/{language}/{split}.conll")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{sentence}\n" * count)
        Path(f"data/{language}/raw.txt").write_text("a few words of text\n" * 40)
    nano = loading.load(Path(__file__).parents[1] / "studies/nano.yaml")
    keys = {
        "name": "own",
        "results_dir": "results",
        "languages": ["en", "es"],
        "task_language": "en",
        "seeds": [1],
        "models": {"tiny": nano.models["tiny"].model_dump() | {"languages": ["en", "es"]}},
        "corpora": {"source": "files", "path": "data/{language}/raw.txt"}
        | {"validation_documents": 5},
        "tasks": {
            "ner": {
                "source": "files",
                "train": "data/{language}/train.conll",
                "validation": "data/{language}/{split}.conll",
                "test": "data/{language}/{split}.conll",
                "targets": ["es"],
                "max_length": 64,
                "training": {"epochs": 2, "batch_size": 1, "learning_rate": 1e-2},
            }
        },
        "related": {"es": "en"},
        "lambdas": {"la": {"start": 0, "stop": 1, "step": 0.5}},
        "training": nano.training.model_dump(),
        "experiments": {"enhancement": {}},
    }
    Path("own.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(keys))))
    return loading.load("own.yaml")


def test_examples_of_files_are_counted_before_any_job(own):
    counter = work.Counter(own)
    task = counter.planned(
        "train_task_adapter", "results/adapters/tiny/task/ner/seed1/provenance.json"
    )
    # two epochs of five, validated after each on three; six words are 7.5 subwords at least
    assert (task.steps, task.scored) == (10, 6)
    length = work.WORD * 6 + work.SPECIAL
    assert task.operations == (2 * 10 + 6) * costs.example(task.case.shape, length)
    cell = "results/evaluation/tiny/ner/es/la/en+es/seed1/provenance.json"
    assert counter.planned("sweep_la", cell).scored == 3 * 3 + 4 * 2
    # what cannot be read is no number: `langarith check` says what is wrong
    Path("data/es/test.conll").write_text("no tag\tX-Y\n")
    assert work.Counter(own).planned("sweep_la", cell) is None


def test_windows_of_long_texts_are_counted():
    class Question:
        question, context = "w " * 8, "w " * 160  # 10 and 200 subwords

    assert work.length_of(Question(), 1000, 20) == 210 + work.SPECIAL
    # windows of 80 subwords less the question's 14: 66, of which 20 repeat the one before
    windows = 4
    assert work.length_of(Question(), 80, 20) == 200 + (windows - 1) * 20 + windows * 14
    assert work.length_of(Question(), 80, None) == 80
    assert work.length_of(object(), 80, None) == 0


# --- disk ---


def test_disk_is_that_of_files_of_known_size(nano):
    """Against the sizes of adapters of the same shape, counted by hand."""
    found = disk.needed(nano)[Path(nano.results_dir)]
    # two layers of 32 x 16 and back; a NICE block of two networks of 16 x 8 and back
    one = 4 * (2 * 2 * 32 * 16 + 2 * 2 * 16 * 8)
    assert found["language adapters"] == 4 * one  # en, es, fr, es@1k
    assert found["token streams"] == 3 * 200 * 160 * 4
    made = Path(nano.results_dir) / ADAPTER.format("es")
    made.mkdir(parents=True)
    (made / "adapter.safetensors").touch()
    assert disk.needed(nano)[Path(nano.results_dir)]["language adapters"] == 3 * one


def test_disk_of_a_plan_is_that_of_its_jobs(nano):
    """A plan of some targets counts what their jobs write, not the whole study."""
    names = [ADAPTER.format("es") + "/provenance.json"]
    names += ["tokens/tiny/es/train-00000-of-00002.arrow.provenance.json"]
    records = {f"{nano.results_dir}/{name}" for name in names}
    found = disk.needed(nano, planned=records)[Path(nano.results_dir)]
    whole = disk.needed(nano)[Path(nano.results_dir)]
    assert set(found) - {"checkpoints"} == {"language adapters", "token streams"}
    assert found["language adapters"] == whole["language adapters"] / 4
    assert 0 < found["token streams"] < whole["token streams"]
    assert "masked-LM losses" not in next(disk.lines(nano, planned=records))


def test_a_full_disk_is_a_mistake_that_check_finds(nano, monkeypatch):
    assert list(disk.problems(nano)) == []
    used = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used._replace(free=1000))
    (sentence,) = check.look(nano).problems
    assert "results_dir: the study will write about" in sentence and "has 1.0 kB free" in sentence


def test_check_refuses_only_what_surely_does_not_fit(root, monkeypatch):
    """Shards of the hub are of unknown size until they are there: the paper's study."""
    paper = loading.load(root / "config.yaml", {"results_dir": "no/such/folder"})
    (folder,) = {f for f, kinds in disk.needed(paper).items() if "token streams" in kinds}
    most, least = (disk.needed(paper, least=way)[folder]["token streams"] for way in (False, True))
    assert least == pytest.approx(most / 3)
    used = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used._replace(free=1.5 * least))
    assert list(disk.problems(paper)) == []


def test_checkpoints_elsewhere_are_another_folder(nano, tmp_path):
    moved = nano.model_copy(update={"checkpoint_dir": str(tmp_path / "scratch")})
    found = disk.needed(moved, at_once=100)
    assert set(found) == {Path(nano.results_dir), tmp_path / "scratch"}
    assert found[tmp_path / "scratch"]["checkpoints"] >= 100 * 8 * 4 * 2 * 2 * 32 * 16


def test_every_job_before_the_tables_has_its_stage() -> None:
    """A rule of no stage would be counted among tables, figures and pages."""
    early = ["check_task_data", "check_adapters", "initialise_adapters", "leave_out_layers"]
    order = [plan.flow_order(rule)[0] for rule in early]
    assert order == sorted(order) and order[-1] < plan.flow_order("train_language_adapter")[0]
    assert plan.flow_order("tabulate")[0] == len(plan.FLOW)
