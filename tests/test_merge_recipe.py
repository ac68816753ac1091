"""Recipes of merges: what they may say, and what is refused; without torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from langarith.errors import InputError
from langarith.models import merge_recipe
from langarith.models.merge_recipe import MergeRecipe

GUIDE = Path(__file__).parents[1] / "docs/merging_without_a_study.md"

LA = {"method": "la", "operands": [{"adapter": "a"}, {"adapter": "b"}]}
HALF = {"parameters": {"lambda": 0.5}}


def weighted(*weights: float | None) -> list[dict[str, Any]]:
    return [{"adapter": "a"} | ({"weight": w} if w is not None else {}) for w in weights]


def point(value: Any, **keys: Any) -> dict[str, Any]:
    return {**LA, "parameters": {"lambda": value}, **keys}


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({**LA, **HALF, "operand": []}, "unknown key 'operand' (did you mean 'operands'?)"),
        ({**LA, "parameters": {"lamda": 0.5}}, "unknown key 'lamda' (did you mean 'lambda'?)"),
        ({**LA, "operands": [{"adaptor": "a"}] * 2}, "did you mean 'adapter'?"),
        ({**LA, **HALF, "method": "slrp"}, "unknown merge method 'slrp' (did you mean 'slerp'?)"),
        ({**LA, **HALF, "method": "ties"}, "write ties and a number"),
        ({**LA, **HALF, "method": "ties20"}, "name its folder as 'origin'"),
        ({**LA, **HALF, "origin": "a"}, "'origin' has no effect with la; remove it"),
        ({**LA, "parameters": {"lambda": 0.5, "seed": 1}}, "parameters.seed has no effect with la"),
        ({**LA, **HALF, "method": "fisher"}, "as 'fisher' of operand 1"),
        (
            {**LA, **HALF, "operands": [{"adapter": "a", "fisher": "f"}, {"adapter": "b"}]},
            "'fisher' has no effect with la; remove it",
        ),
        ({**LA, **HALF, "method": "outputs"}, "there is no single adapter to write"),
        (LA, "give parameters.lambda, or the weight of every operand"),
        ({**LA, **HALF, "operands": weighted(0.5, 0.5)}, "mean the same; give only one of them"),
        ({**LA, "operands": weighted(0.5, None)}, "operand 2 has no weight"),
        ({**LA, "operands": weighted(0.5, 0.6)}, "the weights sum to 1.1 instead of 1"),
        (
            {"method": "ties20", "origin": "o", "operands": weighted(0.5, 0.5)},
            "operands have no weights with ties20; give parameters.lambda (1 number)",
        ),
        ({**LA, "parameters": {"lambda": [0.5, 0.2]}}, "needs 1 number, not 2"),
        ({**LA, "parameters": {"lambda": "half"}}, "'half' is neither a number nor a list"),
        (
            {"method": "slerp", "origin": "o", **HALF, "operands": weighted(None, None, None)},
            "slerp merges 2 adapters, not 3",
        ),
        ({**LA, **HALF, "operands": [{"adapter": "a"}]}, "la merges 2 or more adapters, not 1"),
        ({**LA, **HALF, "operands": [{"adapter": 1}, {"adapter": "b"}]}, "operands (entry 1)"),
        ({**HALF, "operands": LA["operands"]}, "method is missing; add it"),
        (point(5), "parameters.lambda: 5 is out of range; la takes numbers between 0 and 1"),
        (point(-1), "-1 is out of range; la takes numbers between 0 and 1"),
        (point(1.5, method="slerp", origin="o"), "1.5 is out of range; slerp takes numbers betw"),
        (point(-5, method="ties20", origin="o"), "-5 is out of range; ties20 takes numbers of at"),
        (point(1e300, method="ties20", origin="o"), "1e+300 is not finite in float32"),
        (point("nan"), "'nan' is no finite number; write one"),
        (point([0.7, 0.6], operands=weighted(None, None, None)), "the weights sum to 1.3, which"),
        (point("0.5,7", method="layers"), "7 is out of range; layers takes numbers between 0 and"),
        ({**LA, "operands": weighted(-0.5, 1.5)}, "the weight of operand 1: -0.5 is out of range"),
        (point(True), "parameters.lambda: true is a truth value; write a number"),
        (point([True, 0.5]), "parameters.lambda: true is a truth value; write a number"),
        (point({"a": 1}), "a block of keys is neither a number nor a list of numbers; write 0.65"),
        ({**LA, **HALF, "license": "foo: bar"}, "license is 'foo: bar'; write the hub's"),
        (
            {**LA, **HALF, "operands": [{"adapter": "a", "language": "x y"}, {"adapter": "b"}]},
            "operands (entry 1).language is 'x y'; write letters, digits, - and _, such as sr_Latn",
        ),
        (
            {**LA, **HALF, "operands": [{"adapter": "a", "sha256": "x"}, {"adapter": "b"}]},
            "operands (entry 1).sha256 is 'x'; write 64 digits of 0-9 and a-f",
        ),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_in_one_sentence(tmp_path, recipe, sentence):
    file = tmp_path / "recipe.yml"
    file.write_text(yaml.safe_dump(recipe))
    with pytest.raises(InputError) as caught:
        merge_recipe.read(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert sentence in str(caught.value)
    if "truth value" in sentence:
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "value", "count"),
    [("ties20", 1.8, 2), ("negation", -1, 1), ("analogy", -0.5, 3), ("layers", [0.7, 0.6], 2)],
)
def test_negative_and_larger_numbers_stay_where_they_have_a_meaning(method, value, count):
    keys = {"origin": "o"} if method in ("ties20", "negation") else {}
    recipe = MergeRecipe.model_validate(
        point(value, method=method, operands=weighted(*[None] * count), **keys)
    )
    assert list(recipe.point) == (value if isinstance(value, list) else [value])


def test_the_recipe_of_the_guide_is_one(tmp_path):
    file = tmp_path / "recipe.yml"
    output = GUIDE.read_text(encoding="utf-8")
    (written,) = re.findall(r"```yaml\n(.*?)```", output, re.S)
    file.write_text(written)
    recipe = merge_recipe.read(file)
    assert recipe.point == (0.65,)
    file.write_text(merge_recipe.text(recipe))
    assert merge_recipe.read(file) == recipe
    for key in MergeRecipe.model_fields:
        assert f"`{key}" in output
    for key in merge_recipe.MergeOperand.model_fields:
        assert f"`operands[].{key}`" in output
