"""`langarith merge`: adapters merged from a recipe alone, and the cards of merged adapters."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.cli.upload import UploadCommand
from safetensors.torch import load_file, save_file

import helpers
from hub_server import HubServer
from langarith import cli, merging
from langarith.errors import InputError
from langarith.models import encoders, merged, weights
from langarith.models.adapters import language_config, read_adapter, save_adapter
from langarith.models.merge_recipe import MergeRecipe
from langarith.publishing.card import Dataset, Evaluation, Gain, Score, card

GUIDE = Path(__file__).parents[1] / "docs/merging_without_a_study.md"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ("adapter.safetensors", "adapter_config.json", "pytorch_adapter.bin", "recipe.yml")


def block(language: str) -> str:
    """The code of the guide in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    return str(found)


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`adapters/{initial,en,fr,de}` of one configuration, `relu` of another; `base_model`."""
    folder = tmp_path_factory.mktemp("made")
    model = encoders.load_encoder(base)
    for seed, name in enumerate(("initial", "en", "fr", "de")):
        helpers.add_adapter(model, name, seed)
        save_adapter(model, name, folder / "adapters" / name, with_head=False)
    for name, shape in (
        ("relu", {"non_linearity": "relu"}),
        ("small", {"reduction_factor": 4}),
        ("plain", {"invertible_reduction_factor": None}),
    ):
        helpers.add_adapter(model, name, 5, language_config(helpers.LANGUAGE_SHAPE | shape))
        save_adapter(model, name, folder / "adapters" / name, with_head=False)
    (folder / "base_model").symlink_to(base)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the adapters, for one test's files."""
    shutil.copytree(made, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def operands(*weights: float | None, of: tuple[str, ...] = ("en", "fr", "de")) -> list[Any]:
    pairs = zip(of, weights, strict=False)
    return [
        {"adapter": f"adapters/{name}"} | ({} if weight is None else {"weight": weight})
        for name, weight in pairs
    ]


def merge(capsys: pytest.CaptureFixture[str], to: str, **recipe: Any) -> str:
    """Merge by the command: what it prints; a refusal leaves nothing behind."""
    Path("recipe.yml").write_text(yaml.safe_dump(recipe))
    before = sorted(Path.cwd().iterdir())
    code = cli.main(["merge", "recipe.yml", "--to", to])
    printed = capsys.readouterr()
    if code:
        assert sorted(Path.cwd().iterdir()) == before
        assert "\n" not in printed.err.strip()
        return printed.err
    assert not [path for path in Path.cwd().iterdir() if path.name.startswith(".")]
    return printed.out


def bytes_of(folder: str) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in FILES}


def test_weights_and_lambda_say_the_same_and_the_written_recipe_repeats_it(here, capsys):
    out = merge(capsys, "a", method="la", operands=operands(0.65, 0.35))
    assert out == "a: 0.65 · en + 0.35 · fr, as adapter 'la_en_fr_0_65'\n"
    ends = [read_adapter(f"adapters/{name}") for name in ("en", "fr")]
    found = read_adapter("a")
    assert found.keys() == ends[0].keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, 0.65 * ends[0][name] + 0.35 * ends[1][name])

    merge(capsys, "b", method="la", parameters={"lambda": 0.65}, operands=operands(None, None))
    for name in FILES[:3]:
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    assert cli.main(["merge", "a/recipe.yml", "--to", "c"]) == 0
    assert bytes_of("a") == bytes_of("c")

    # the recipe means these bytes and no others
    shutil.copytree("adapters/de", "adapters/fr", dirs_exist_ok=True)
    assert cli.main(["merge", "a/recipe.yml", "--to", "d"]) == 1
    assert "adapters/fr: adapter.safetensors has the SHA-256" in capsys.readouterr().err
    # and a folder that is there stays
    assert cli.main(["merge", "b/recipe.yml", "--to", "a"]) == 1
    assert "a: exists already" in capsys.readouterr().err


def test_three_operands_take_the_weights_in_their_order(here, capsys):
    merge(capsys, "a", method="la", operands=operands(0.5, 0.2, 0.3))
    assert merge(
        capsys, "b", method="la", parameters={"lambda": [0.5, 0.2]}, operands=operands(*[None] * 3)
    ) == "b: 0.50 · en + 0.20 · fr + 0.30 · de, as adapter 'la_en_fr_de_0_50_0_20'\n"  # fmt: skip
    assert bytes_of("a")["adapter.safetensors"] == bytes_of("b")["adapter.safetensors"]


WRITABLE = [name for name in merging.examples() if merging.get(name).writable]


@pytest.mark.parametrize("name", WRITABLE)
def test_every_registered_method_merges_from_a_recipe(here, name, capsys):
    method = merging.get(name)
    languages = ("en", "fr", "de")[: method.fewest_operands]
    point = method.points([0.5], len(languages))[-1]
    keys: dict[str, Any] = {"origin": "adapters/initial"} if method.needs_origin else {}
    seed = {"seed": 7} if method.draws else {}
    only = method.only_point(len(languages))
    parameters = seed if only else seed | {"lambda": list(point)}
    both = operands(*[None] * len(languages))
    adapters = [read_adapter(f"adapters/{language}") for language in languages]
    fishers = []
    if method.needs_fisher:
        fishers = [{key: t.square() for key, t in adapter.items()} for adapter in adapters]
        for operand, fisher in zip(both, fishers, strict=True):
            operand["fisher"] = f"{operand['adapter']}/fisher.safetensors"
            save_file(fisher, operand["fisher"])
    merge(capsys, "a", method=name, parameters=parameters, operands=both, **keys)
    origin = read_adapter("adapters/initial") if method.needs_origin else None
    expected = method.merger(adapters, origin, fishers=fishers, **seed)(point)
    found = read_adapter("a")
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor)


def test_outputs_are_no_adapter_and_fisher_information_must_fit(here, capsys):
    output = merge(capsys, "a", method="outputs", operands=operands(0.5, 0.5))
    assert "recipe.yml: outputs averages the outputs of adapters and merges none" in output
    assert "there is no single adapter to write" in output
    both = operands(0.5, 0.5)
    for operand in both:
        operand["fisher"] = "adapters/en/fisher.safetensors"
    assert "adapters/en/fisher.safetensors: no such file; name the Fisher information" in (
        merge(capsys, "a", method="fisher", operands=both)
    )
    save_file({"other": torch.ones(1)}, "adapters/en/fisher.safetensors")
    assert "its tensors are not those of the adapter" in (
        merge(capsys, "a", method="fisher", operands=both)
    )


def describe(folder: str, **changes: Any) -> None:
    path = Path(folder, "adapter_config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def only_a_pickle() -> None:
    Path("adapters/fr/adapter.safetensors").rename("adapters/fr/pytorch_adapter.bin")


@pytest.mark.parametrize(
    ("of", "change", "sentence"),
    [
        (("en", "relu"), None, "adapters/relu does not fit adapters/en: non_linearity is relu"),
        (("en", "small"), None, "reduction_factor is 4"),
        (("en", "plain"), None, "inv_adapter is None instead of nice"),
        (
            ("en", "nowhere"),
            None,
            "adapters/nowhere: it has no adapter_config.json and adapter.safe",
        ),
        (("en", "fr"), only_a_pickle, "only as a pickle (pytorch_adapter.bin)"),
        (
            ("en", "fr"),
            lambda: describe("adapters/fr", model_type="bert"),
            "adapters/fr does not fit adapters/en: model_type is bert instead of xlm-roberta",
        ),
        (
            ("en", "fr"),
            lambda: describe("adapters/fr", model_name="sample/other"),
            "adapters/fr was trained on sample/other, but adapters/en on ",
        ),
    ],
)
def test_operands_that_do_not_fit_are_refused_with_the_first_difference(
    here, capsys, of: tuple[str, str], change: Callable[[], None] | None, sentence: str
):
    if change:
        change()
    said = merge(capsys, "a", method="la", operands=operands(0.5, 0.5, of=of))
    assert sentence in said


def rewrite(change: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]]) -> None:
    file = Path("adapters/fr/adapter.safetensors")
    save_file(dict(change(load_file(file))), file)


def recode(encoding: str) -> None:
    path = Path("adapters/fr/adapter_config.json")
    path.write_text(path.read_text(), encoding=encoding)


WEIGHTS, CONFIG = (f"adapters/fr/adapter{end}" for end in (".safetensors", "_config.json"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda: rewrite(lambda t: {**t, "extra": torch.zeros(2)}),
            f"{WEIGHTS}: extra is not a part of a bottleneck adapter 'fr'",
        ),
        (
            lambda: rewrite(lambda t: {name: v.to(torch.int32) for name, v in t.items()}),
            ".bias is of type int32; only weights in float16, bfloat16, float32 and float64",
        ),
        (
            lambda: rewrite(lambda t: {name: v > 0 for name, v in t.items()}),
            ".bias is of type bool; only",
        ),
        (
            lambda: rewrite(lambda t: {n: v.to(torch.float8_e4m3fn) for n, v in t.items()}),
            ".bias is of type float8_e4m3fn; only",
        ),
        (lambda: describe("adapters/fr", name=None), f"{CONFIG}: 'name' is null; write the name"),
        (lambda: describe("adapters/fr", name=5), f"{CONFIG}: 'name' is 5; write the name"),
        (lambda: describe("adapters/fr", config=None), "the configuration (it is empty); name"),
        (lambda: recode("utf-16"), f"{CONFIG}: not UTF-8 (byte 0); save it as UTF-8"),
        (lambda: recode("utf-8-sig"), f"{CONFIG}: starts with a byte order mark; save it as"),
    ],
)
def test_files_that_are_no_adapter_are_refused_by_merge_and_convert(
    here, capsys, change: Callable[[], None], sentence: str
):
    change()
    assert sentence in merge(capsys, "a", method="la", operands=operands(0.5, 0.5))
    assert cli.main(["convert", "adapters/fr", "--to", "a"]) == 1
    assert sentence in capsys.readouterr().err
    assert not Path("a").exists()


def test_weights_that_may_not_be_read_are_not_called_damaged(here, capsys, monkeypatch):
    def denied(path: Any, mode: str) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(weights, "open", denied, raising=False)
    assert merge(capsys, "a", method="la", operands=operands(0.5, 0.5)) == (
        "adapters/en/adapter.safetensors: permission denied; allow access to it (chmod), or name "
        "another path\n"
    )


def test_a_merge_beyond_the_range_of_float32_is_refused(here, capsys):
    keys = {"origin": "adapters/initial", "operands": operands(None, None)}
    rewrite(lambda t: {name: 100 * v for name, v in t.items()})
    said = merge(capsys, "a", method="ties20", parameters={"lambda": 1e38}, **keys)
    assert "the merged adapter: " in said and "take a smaller λ" in said


def test_the_base_model_of_the_recipe_settles_names_of_folders_alone(here, capsys):
    describe("adapters/en", model_name="xlm-roberta-base")
    describe("adapters/fr", model_name="/elsewhere/encoder")
    keys: dict[str, Any] = {"method": "la", "operands": operands(0.5, 0.5)}
    assert "was trained on /elsewhere/encoder" in merge(capsys, "a", **keys)
    assert "was trained on xlm-roberta-base instead of sample/mbert" in (
        merge(capsys, "a", base_model="sample/mbert", **keys)
    )
    merge(capsys, "a", base_model=f"FacebookAI/xlm-roberta-base@{COMMIT}", **keys)
    output = json.loads(Path("a/adapter_config.json").read_text())
    assert output["model_name"] == "FacebookAI/xlm-roberta-base"
    text = Path("a/README.md").read_text()
    assert ModelCard(text).data.base_model == "FacebookAI/xlm-roberta-base"
    assert f'from_pretrained("FacebookAI/xlm-roberta-base", revision="{COMMIT}")' in text


def test_an_adapter_of_the_hub_is_pinned_and_not_fetched_twice(here):
    server = HubServer()
    try:
        names = ("adapter_config.json", "adapter.safetensors")
        files = {name: Path("adapters/fr", name).read_bytes() for name in names}
        commit = server.add("models", "sample/fr", files)
        recipe = {"method": "la", "operands": operands(0.5, 0.5)}
        recipe["operands"][1]["adapter"] = "sample/fr@main"
        Path("recipe.yml").write_text(yaml.safe_dump(recipe))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {
            "HF_ENDPOINT": server.endpoint,
            "HF_HOME": str(here / "home"),
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(Path(merging.__file__).parents[2]),
        }
        code = (
            "import sys; from langarith import cli; codes = [cli.main(['merge', *a.split()]) for a "
            "in sys.argv[1:]]; print(*codes, 'snakemake' in sys.modules)"
        )
        asked = ["recipe.yml --to a", "a/recipe.yml --to b"]
        done = subprocess.run(
            [sys.executable, "-c", code, *asked],
            cwd=here, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        server.close()
    assert done.stdout.splitlines()[-1] == "0 0 False"
    assert f"sample/fr@main is commit {commit}" in done.stderr
    assert f"adapter: sample/fr@{commit}" in Path("a/recipe.yml").read_text()
    assert len([path for path in server.asked("content") if "adapter.safetensors" in path]) == 1
    assert bytes_of("a") == bytes_of("b")
    for name, tensor in read_adapter("a").items():
        ends = [read_adapter(f"adapters/{language}")[name] for language in ("en", "fr")]
        torch.testing.assert_close(tensor, sum(ends) / 2)


def test_a_folder_in_the_form_of_a_repository_is_no_guess(here, capsys):
    shutil.copytree("adapters/fr", "adapters/fr@full")
    keys = {"method": "la", "parameters": {"lambda": 0.5}}
    both = operands(None, None, of=("en", "fr@full"))
    assert "write ./adapters/fr@full for the folder" in merge(capsys, "a", **keys, operands=both)
    both[1]["adapter"] = "./adapters/fr@full"
    assert "0.50 · en + 0.50 · fr" in merge(capsys, "a", **keys, operands=both)


# --- the guide ---


def test_the_example_of_the_guide_runs(here):
    code = block("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names: dict[str, Any] = {}
    exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102  the guide's own code
    assert names["model"].active_adapters.flatten() == {"en_fr"}
    loaded = merged.read_adapter("en-fr")
    assert loaded.keys() == names["merged"].keys()
    for name, tensor in names["merged"].items():
        assert torch.equal(loaded[name], tensor)


def test_the_upload_of_the_guide_is_a_command_of_the_client(here):
    (line,) = re.findall(r"^    hf (upload .+)$", GUIDE.read_text(encoding="utf-8"), re.M)
    assert line.split()[1:] == ["owner/xlm-roberta-base-en-fr", "en-fr", "."]
    parser = upload_parser()
    chosen = parser.parse_args(line.split())
    assert (chosen.repo_id, chosen.local_path, chosen.path_in_repo) == tuple(line.split()[1:])


def upload_parser() -> Any:
    import argparse

    parser = argparse.ArgumentParser()
    UploadCommand.register_subcommand(parser.add_subparsers())
    return parser


def test_tensors_that_are_not_the_shape_are_not_written(here):
    tensors = read_adapter("adapters/en")
    first = next(iter(tensors))
    less = {name: tensor for name, tensor in tensors.items() if name != first}
    for wrong in (less, tensors | {"other": tensors[first]}):
        with pytest.raises(InputError, match=r"there is no tensor for|has .* tensors instead of"):
            merged.write_adapter("a", wrong, like="adapters/en", name="x")
    with pytest.raises(InputError, match="not a name of an adapter"):
        merged.write_adapter("a", tensors, like="adapters/en", name="a.b")
    assert not Path("a").exists()


# --- cards ---


def made_card(*languages: str, evaluation: Evaluation | None = None, **keys: Any) -> str:
    recipe = MergeRecipe.model_validate(
        {
            "method": "la",
            "parameters": {"lambda": 0.65},
            "operands": [{"adapter": f"adapters/{code}", "language": code} for code in languages],
            "base_model": "FacebookAI/xlm-roberta-base",
            **keys,
        }
    )
    return card(
        merged.MergedAdapter(recipe, languages, {}, Path(), "xlm-roberta"),
        "merged",
        evaluation or Evaluation(),
    )


def test_a_card_has_what_the_hub_lists_adapters_by():
    text = made_card("no", "zh-Hant", license="cc-by-sa-4.0")
    assert "language:\n- 'no'\n- zh\n" in text
    output = ModelCard(text).data.to_dict()
    assert output == {
        "language": ["no", "zh"],
        "language_bcp47": ["zh-Hant"],
        "license": "cc-by-sa-4.0",
        "library_name": "adapter-transformers",
        "tags": ["adapter-transformers", "xlm-roberta", "language-arithmetic", "merge"],
        "base_model": "FacebookAI/xlm-roberta-base",
        "base_model_relation": "adapter",
    }
    # a folder is no repository, and what is not known is left out
    output = ModelCard(made_card("en", "fr", base_model="results/x/models/tiny/encoder")).data
    assert not {"base_model", "base_model_relation", "license", "datasets"} & set(output.to_dict())


def test_a_card_has_scores_and_intervals_in_the_form_of_the_hub():
    data = {
        ("ner", "es"): Dataset("ner (es)", "token-classification", "sample/ner", COMMIT),
        ("qa", "es"): Dataset("qa (es)", "question-answering"),
    }
    scores = [
        Score("ner", "es", "validation", "f1", 71.0, 20),
        Score("ner", "es", "test", "f1", 60.456, 30),
        Score("ner", "es", "test", "f1_strict", 58.0, 30),
        Score("qa", "es", "test", "f1", 40.0, 10),
    ]
    gain = Gain("zero_shot", "ner", "es", "f1", "better proxy", "validation", 1.2, 0.31, 2.04, 2)
    text = made_card("en", "fr", evaluation=Evaluation(scores, [gain], data, ["sample/raw"]))
    output = ModelCard(text).data
    assert output.datasets == ["sample/raw"]
    found = [
        (r.task_type, r.dataset_type, r.metric_type, r.metric_value) for r in output.eval_results
    ]
    assert found == [
        ("token-classification", "sample/ner", "f1", 60.46),
        ("token-classification", "sample/ner", "f1_strict", 58.0),
        ("token-classification", "sample/ner", "gain", 1.2),
        ("question-answering", "qa", "f1", 40.0),
    ]
    with_gain = output.eval_results[2]
    assert with_gain.metric_type == "gain"
    assert with_gain.metric_name == (
        "gain of f1 over the better single adapter (points, mean of 2 seeds)"
    )
    assert with_gain.metric_args["interval"] == [0.31, 2.04]
    assert (with_gain.dataset_config, with_gain.dataset_split) == ("es", "test")
    assert with_gain.dataset_revision == COMMIT
    assert (
        "| ner | es | the better single adapter | +1.20 | [+0.31, +2.04] | validation | 2 |" in text
    )
    of_limited_run = made_card(
        "en", "fr", evaluation=Evaluation(scores, [gain], data, limited=True)
    )
    assert "its scores mean nothing" in of_limited_run
    assert ModelCard(of_limited_run).data.eval_results is None


def test_adapters_of_different_initial_weights_are_reported(here, capsys):
    torch.manual_seed(4)
    weights_of = load_file("adapters/en/adapter.safetensors")
    far = {name: torch.randn_like(tensor) for name, tensor in weights_of.items()}
    for folder, change in (("near", 0.5), ("far", 1.0)):
        shutil.copytree("adapters/en", f"adapters/{folder}")
        size = {name: tensor.std(correction=0) for name, tensor in weights_of.items()}
        mixed = {
            name: (1 - change) * tensor + change * size[name] * far[name]
            for name, tensor in weights_of.items()
        }
        save_file(mixed, f"adapters/{folder}/adapter.safetensors")
    for other, said in (("near", False), ("far", True)):
        recipe = {"method": "la", "operands": operands(0.5, 0.5, of=("en", other))}
        Path("recipe.yml").write_text(yaml.safe_dump(recipe))
        assert cli.main(["merge", "recipe.yml", "--to", f"with_{other}"]) == 0
        error = capsys.readouterr().err
        assert (f"warning: adapters/{other}: the cosine of its weights" in error) == said
