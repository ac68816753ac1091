"""The lambda sweep on tiny models: ends, middle, choice of lambda, batches and files."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import helpers
from langarith import merging, tasks
from langarith.evaluation import outcomes, scoring, selection
from langarith.evaluation.batches import buckets, run
from langarith.evaluation.sweep import sweep, write
from langarith.merging.tensors import write_in_place
from langarith.models import encoders
from langarith.models.adapters import (
    LANGUAGE,
    named_parameters,
    read_adapter,
    save_adapter,
    task_config,
)
from langarith.tasks.nli import LABELS
from langarith.tasks.shared.base import Encoding, Features
from langarith.tasks.shared.classification import LabelledText
from langarith.tasks.shared.tagging import TaggedSentence

LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)
POINTS = [(weight,) for weight in LAMBDAS]
TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
CLASSES = {"ner": TAGS, "nli": LABELS}
Tensors = dict[str, torch.Tensor]


def sentences(count: int, seed: int) -> list[TaggedSentence]:
    """Random words of random number; the tags follow from the words, so that some are hit."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        words = rng.choices(helpers.WORDS, k=rng.randint(1, 25))
        tags = [("O", "B-LOC", "B-PER")[int(word[1:]) % 3] for word in words]
        found.append(TaggedSentence(str(i), tuple(words), tuple(tags)))
    return found


def pairs(count: int, seed: int) -> list[LabelledText]:
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(helpers.WORDS, k=rng.randint(1, 12))) for _ in range(2 * count)]
    return [
        LabelledText(str(i), texts[2 * i], texts[2 * i + 1], rng.choice(LABELS))
        for i in range(count)
    ]


EXAMPLES = {"ner": sentences, "nli": pairs}


class Watched(scoring.EncodedSplit):
    """A split that remembers the language adapter of each model that it scored."""

    def score(self, model: PreTrainedModel) -> scoring.SplitScores:
        tensors = named_parameters(model, LANGUAGE)
        self.seen = [*getattr(self, "seen", []), {n: p.clone() for n, p in tensors.items()}]
        return super().score(model)


def split(
    task: str, tokenizer: PreTrainedTokenizerFast, seed: int, tokens_per_batch: int = 4096
) -> Watched:
    return Watched(
        tasks.get(task),
        EXAMPLES[task](40, seed),
        tokenizer,
        Encoding(32, CLASSES[task], 8),
        tokens_per_batch=tokens_per_batch,
        precision="fp32",
    )


@pytest.fixture(scope="module")
def saved(base: Path, tmp_path_factory) -> Path:
    """Language adapters en and es, task adapters ner and nli, saved as the workflow saves them."""
    folder = tmp_path_factory.mktemp("adapters")
    model = encoders.load_encoder(base)
    for seed, name in enumerate(("en", "es")):
        helpers.add_adapter(model, name, seed)
        save_adapter(model, name, folder / name, with_head=False)
    for seed, (task, labels) in enumerate(CLASSES.items()):
        helpers.add_adapter(model, task, seed, task_config(helpers.TASK_SHAPE))
        torch.manual_seed(seed)
        encoders.add_head(model, task, tasks.get(task).head, labels)
        for parameter in model.heads[task].parameters():
            torch.nn.init.normal_(parameter)
        save_adapter(model, task, folder / task, with_head=True)
    return folder


@pytest.fixture(params=["ner", "nli"])
def swept(request, base: Path, saved: Path, tiny_tokenizer) -> SimpleNamespace:
    """A whole sweep of en + es by language arithmetic."""
    task = request.param
    validation, test = (split(task, tiny_tokenizer, seed) for seed in (1, 2))
    ends = read_adapter(saved / "en"), read_adapter(saved / "es")
    method = merging.get("la")
    model = scoring.load_stack(base, saved / "en", saved / task)
    result = sweep(
        model,
        method.merger(ends),
        method.search(LAMBDAS, 2),
        validation,
        test,
        method,
        "a test",
    )
    return SimpleNamespace(
        task=task, result=result, validation=validation, test=test, ends=ends, model=model
    )


def same(left: Tensors, right: Tensors) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


# ---------------------------------------------------------------- the sweep


def test_ends_of_a_sweep_are_the_single_adapters(swept, base: Path, saved: Path) -> None:
    """λ = 1 is the left adapter, λ = 0 the right one: loaded the usual way they say the same."""
    for weight, language, tensors in zip((1.0, 0.0), ("en", "es"), swept.ends, strict=True):
        assert same(swept.validation.seen[LAMBDAS.index(weight)], tensors)
        alone = scoring.load_stack(base, saved / language, saved / swept.task)
        assert same(dict(named_parameters(alone, LANGUAGE)), tensors)
        assert (
            swept.result.scores["validation"][weight,].metrics
            == swept.validation.score(alone).metrics
        )
        assert swept.result.kept[weight,] == swept.test.score(alone)
    # The ends differ, or the test would say nothing.
    assert swept.result.kept[0.0,].predictions != swept.result.kept[1.0,].predictions


def test_middle_of_a_sweep_is_the_mean(swept) -> None:
    left, right = swept.ends
    for name, tensor in swept.validation.seen[LAMBDAS.index(0.5)].items():
        torch.testing.assert_close(tensor, (left[name] + right[name]) / 2)
    assert swept.result.kept[0.5,].predictions != swept.result.kept[1.0,].predictions


def test_lambda_is_chosen_on_validation_and_tested_with_the_ends(swept) -> None:
    metric = tasks.get(swept.task).metrics[0]
    scores = swept.result.scores
    curve = {point: scored.metrics[metric] for point, scored in scores["validation"].items()}
    assert list(curve) == POINTS
    assert len(set(curve.values())) > 1
    assert swept.result.selected == selection.select(curve, 0.5)
    assert list(scores["test"]) == POINTS
    assert set(swept.result.kept) == {(0.0,), (0.5,), (1.0,), swept.result.selected}


def test_reference_without_a_language_adapter_leaves_it_out(swept) -> None:
    predictions = []
    for tensors in swept.ends:
        parameters = named_parameters(swept.model, LANGUAGE)
        write_in_place(parameters, tensors)
        scoring.use_language_adapter(swept.model, False)
        predictions.append(swept.test.score(swept.model).predictions)
    assert predictions[0] == predictions[1]
    scoring.use_language_adapter(swept.model, True)
    assert swept.test.score(swept.model) == swept.result.kept[0.0,]


def test_half_is_evaluated_on_test_where_the_grid_lacks_it(swept, base: Path, saved: Path) -> None:
    method = merging.get("la")
    again = sweep(
        swept.model,
        method.merger(swept.ends),
        method.search((0.0, 1.0), 2),
        swept.validation,
        swept.test,
        method,
        "a test",
    )
    assert list(again.scores["validation"]) == [(0.0,), (1.0,)]
    assert again.kept[0.5,] == swept.result.kept[0.5,]
    assert again.selected != (0.5,)


def test_a_refined_sweep_evaluates_few_points_and_then_those_near_the_best(
    swept, tmp_path: Path
) -> None:
    method = merging.get("la")
    values = [round(0.05 * i, 2) for i in range(21)]
    search = method.search(values, 2, "refine")
    again = sweep(
        swept.model,
        method.merger(swept.ends),
        search,
        swept.validation,
        swept.test,
        method,
        "a test",
    )
    metric = tasks.get(swept.task).metrics[0]
    curve = {p: scored.metrics[metric] for p, scored in again.scores["validation"].items()}
    best = selection.select({point: curve[point] for point in search.first}, 0.5)
    assert again.refined == tuple(search.near(best)) != ()
    assert list(curve) == sorted({*search.first, *again.refined}) == list(again.scores["test"])
    assert again.selected == selection.select(curve, 0.5)
    assert set(again.kept) == {(0.0,), (0.5,), (1.0,), again.selected}
    # a point is scored alike, whenever it is evaluated
    for split, points in swept.result.scores.items():
        for point in points.keys() & curve.keys():
            assert again.scores[split][point].metrics == points[point].metrics

    (tmp_path / "lambda=0.01.json").write_text("{}")  # of an earlier, finer search
    cell = {"model": "tiny", "task": swept.task, "target": "fr", "method": "la"}
    cell |= {"operands": "en+es", "seed": "1"}
    write(tmp_path, cell, again, swept.validation, swept.test, references={})
    names = {path.name for path in tmp_path.glob("lambda=*.json")}
    assert names == {f"lambda={weight:.2f}.json" for (weight,) in curve}
    chosen = json.loads((tmp_path / "selected.json").read_text())
    assert [(weight,) for weight in chosen["refined"]] == list(again.refined)
    assert list(outcomes.read(tmp_path / "outcomes.parquet")["validation"]) == list(curve)


@pytest.mark.parametrize(
    ("curve", "centre", "chosen"),
    [
        pytest.param({0.0: 50.0, 0.5: 60.0, 1.0: 70.0}, 0.5, 1.0, id="highest"),
        pytest.param({0.0: 70.0, 0.4: 70.0, 1.0: 70.0}, 0.5, 0.4, id="nearest the centre"),
        # 0.5 - 0.45 and 0.55 - 0.5 differ by rounding alone
        pytest.param({0.45: 70.0, 0.55: 70.0}, 0.5, 0.55, id="then the larger"),
        pytest.param({0.3: 1.0, 0.7: 1.0, 0.0: 1.0}, 0.5, 0.7, id="larger, off centre"),
        pytest.param({0.1: 1.0, 0.9: 1.0, 1.5: 1.0}, 1.0, 0.9, id="another centre"),
        pytest.param({0.5: 70.0, 0.9: 70.0000001}, 0.5, 0.9, id="scores are not rounded"),
    ],
)
def test_ties_between_scores_are_broken_as_documented(
    curve: dict[float, float], centre: float, chosen: float
) -> None:
    points = {(weight,): score for weight, score in curve.items()}
    assert selection.select(points, centre) == (chosen,)
    assert selection.select(dict(reversed(points.items())), centre) == (chosen,)


# ---------------------------------------------------------------- batches


@given(
    lengths=st.lists(st.integers(1, 600), max_size=60),
    tokens_per_batch=st.integers(64, 2048),
)
def test_buckets_hold_each_feature_once_within_the_bound(
    lengths: list[int], tokens_per_batch: int
) -> None:
    batches = list(buckets(lengths, tokens_per_batch))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        # a feature longer than the bound stands alone
        assert len(batch) * longest <= tokens_per_batch or len(batch) == 1
    # longest first: what does not fit into memory fails at once
    order = [lengths[i] for batch in batches for i in batch]
    assert order == sorted(lengths, reverse=True)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_buckets_compute_the_fewest_tokens(lengths: list[int]) -> None:
    """No other way to cut the sorted lengths is cheaper; every way is tried."""
    bound = 96

    def cost(batches: list[list[int]]) -> float:
        return sum(len(batch) * max(batch) + bound / 32 for batch in batches)

    ordered = sorted(lengths, reverse=True)
    ways = []
    for cuts in itertools.product((False, True), repeat=len(ordered) - 1):
        borders = [0, *(i for i, cut in enumerate(cuts, 1) if cut), len(ordered)]
        batches = [ordered[a:b] for a, b in itertools.pairwise(borders)]
        if all(len(batch) * max(batch) <= bound for batch in batches):
            ways.append(cost(batches))
    found = [[lengths[i] for i in batch] for batch in buckets(lengths, bound)]
    assert cost(found) == pytest.approx(min(ways))


@pytest.mark.parametrize("task", ["ner", "nli"])
def test_predictions_do_not_depend_on_the_batch_size(
    base: Path, saved: Path, tiny_tokenizer, task: str
) -> None:
    model = scoring.load_stack(base, saved / "en", saved / task)
    few, many = (split(task, tiny_tokenizer, 1, tokens) for tokens in (64, 65536))
    assert len(few.batches.batches) > len(many.batches.batches) == 1
    assert few.batches.padding < many.batches.padding
    one, other = few.score(model), many.score(model)
    assert (one.metrics, one.predictions) == (other.metrics, other.predictions)
    assert one.entropy == pytest.approx(other.entropy, rel=1e-5)


def test_padding_on_the_right_changes_no_output(base: Path, saved: Path, tiny_tokenizer) -> None:
    """Each sentence alone, without padding, says what it says beside a longer one."""
    model = scoring.load_stack(base, saved / "en", saved / "ner").eval()
    together = split("ner", tiny_tokenizer, 1)
    outputs, _ = run(model, together.batches, "tagging", "fp32")
    for row, ids in zip(outputs, together.features.columns["input_ids"], strict=True):
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([ids])).logits.argmax(-1)[0]
        assert row.tolist() == alone.tolist()


@pytest.mark.parametrize("task", ["ner", "nli"])
def test_entropy_is_that_of_the_first_subwords_or_of_the_texts(
    base: Path, saved: Path, tiny_tokenizer, task: str
) -> None:
    """Computed from the logits of each example alone, by scipy."""
    model = scoring.load_stack(base, saved / "en", saved / task).eval()
    scored = split(task, tiny_tokenizer, 1)
    found: list[float] = []
    for i, ids in enumerate(scored.features.columns["input_ids"]):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0].double().numpy()
        rows = np.atleast_2d(logits)
        if task == "ner":
            starts = scored.features.alignment[i]
            rows = rows[starts[starts >= 0]]
        found += [entropy(softmax(row)) for row in rows]
    assert len(found) > 39
    assert scored.score(model).entropy == pytest.approx(np.mean(found), rel=1e-5)


def test_entropy_of_qa_is_that_of_start_and_end_over_the_context() -> None:
    inside, outside = [[0, 2], [3, 5], [6, 9]], [[-1, -1]]
    logits = np.array([[9.0, 1.0, 2.0, 0.5, 9.0], [9.0, 0.1, 0.2, 3.0, 9.0]])
    features = Features({}, [0, 0], (), [np.array(outside + inside + outside), np.array(outside)])
    by_hand = np.mean([entropy(softmax(row[1:4])) for row in logits])
    # the second window has nothing of the context and does not count
    outputs = [logits.astype(np.float32), np.zeros((2, 1), dtype=np.float32)]
    assert tasks.get("qa").entropy(features, outputs, [None, None]) == pytest.approx(by_hand)


# ---------------------------------------------------------------- files


def test_outcomes_of_any_counts_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Points of several numbers, shares, and a label that one point never predicts."""
    first = {"correct": np.array([0, 1, 300]), "f1": np.array([0.0, 1 / 3, 1.0])}
    second = {"correct": np.array([2, 0, 0]), "total x": np.array([1, 2, 0])}
    written = {"validation": {(0.5, 0.25): first}, "test": {(0.5, 0.25): second}}
    outcomes.write(tmp_path / "outcomes.parquet", written)
    found = outcomes.read(tmp_path / "outcomes.parquet")
    assert list(found) == ["validation", "test"]
    validation, test = (found[name][0.5, 0.25] for name in found)
    assert validation["correct"].tolist() == [0, 1, 300]
    assert validation["f1"] == pytest.approx(first["f1"], rel=5e-4)
    assert validation["total x"].tolist() == [0, 0, 0]
    assert test["total x"].tolist() == [1, 2, 0]
    schema = pq.read_schema(tmp_path / "outcomes.parquet")
    types = [str(schema.field(name).type) for name in ("correct", "f1", "total x")]
    assert types == ["uint16", "halffloat", "uint8"]


def test_bf16_tags_nearly_all_words_alike(saved: Path, base: Path, tiny_tokenizer) -> None:
    model = scoring.load_stack(base, saved / "en", saved / "ner")
    batches = split("ner", tiny_tokenizer, 1).batches
    half, whole = (
        np.concatenate(run(model, batches, "tagging", precision)[0])
        for precision in ("bf16", "fp32")
    )
    assert np.mean(half == whole) > 0.95


def test_files_of_a_cell(swept, tmp_path: Path) -> None:
    cell = {"model": "tiny", "task": swept.task, "target": "fr", "method": "la"}
    cell |= {"operands": "en+es", "seed": "1"}
    references = {"none": {"f1": 1.0}, "majority": {"f1": 0.0}}
    write(tmp_path, cell, swept.result, swept.validation, swept.test, references=references)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(f"lambda={weight}.json" for weight in ("0.00", "0.25", "0.50", "0.75", "1.00")),
        "outcomes.parquet",
        "predictions.parquet",
        "selected.json",
    ]

    point = json.loads((tmp_path / "lambda=0.25.json").read_text())
    assert point.items() >= cell.items()
    assert (point["lambda"], point["examples"]) == (0.25, {"validation": 40, "test": 40})
    for name, scores in swept.result.scores.items():
        assert point[name] == scores[0.25,].metrics
    assert point["entropy"] == swept.result.scores["validation"][0.25,].entropy > 0

    chosen = json.loads((tmp_path / "selected.json").read_text())
    assert chosen.items() >= cell.items()
    assert chosen["metric"] == tasks.get(swept.task).metrics[0]
    assert (chosen["left"], chosen["right"]) == ("en", "es")
    assert (chosen["selected"],) == swept.result.selected
    for name, scores in swept.result.scores.items():
        curve = {(p["lambda"],): p["metrics"] for p in chosen[name]}
        assert curve == {point: scored.metrics for point, scored in scores.items()}
    assert chosen["examples"] == {"validation": 40, "test": 40}
    assert chosen["references"] == references

    output = pq.read_table(tmp_path / "predictions.parquet").to_pylist()
    assert set(output[0]) == {"lambda", "id", "prediction", "gold"}
    assert len(output) == 40 * len(swept.result.kept)
    for (weight,), scored in swept.result.kept.items():
        rows = [row for row in output if row["lambda"] == weight]
        assert [row["id"] for row in rows] == [example.id for example in swept.test.examples]
        predictions = [json.loads(row["prediction"]) for row in rows]
        # the file alone gives the score again
        assert predictions == scored.predictions
        task = tasks.get(swept.task)
        assert task.compute(predictions, swept.test.gold) == scored.metrics
        assert [json.loads(r["gold"]) for r in rows] == [task.gold(e) for e in swept.test.examples]

    # so do the counts of each example
    for name, points in outcomes.read(tmp_path / "outcomes.parquet").items():
        assert list(points) == POINTS
        for at, counts in points.items():
            again = tasks.get(swept.task).total(counts, 40)
            assert again == swept.result.scores[name][at].metrics
