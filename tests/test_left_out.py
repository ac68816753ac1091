"""MAD-X 2.0: language adapters that leave out layers (`adapters.language.leave_out`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from adapters import AutoAdapterModel

import helpers
from langarith import merging
from langarith.errors import InputError
from langarith.merging.tensors import write_in_place
from langarith.models import encoders, left_out, merged, ready_made
from langarith.models.adapters import (
    load_adapter,
    named_parameters,
    read_adapter,
    save_adapter,
    train_only,
)
from langarith.models.masked_lm import masked_lm_loss
from langarith.models.merge_recipe import MergeRecipe
from langarith.study.recipes import Adapters, LanguageAdapterShape

LAST = helpers.SIZES["layers"] - 1


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters without the last layer, `initial`, `en`, `fr`; one of all layers, `whole`."""
    folder = tmp_path_factory.mktemp("left-out")
    model = encoders.load_encoder(base)
    for seed, name in enumerate(("initial", "en", "fr", "whole")):
        helpers.add_adapter(model, name, seed)
        whole = folder / ("whole" if name == "whole" else f"all/{name}")
        whole.parent.mkdir(exist_ok=True)
        save_adapter(model, name, whole, with_head=False)
        if name != "whole":
            left_out.write(whole, folder / name, [LAST], LAST + 1)
    return folder


def in_last_layer(names) -> list[str]:
    return [name for name in names if f"layer.{LAST}." in name]


def test_without_the_key_nothing_changes() -> None:
    """The parameters of `initialise_adapters`, as before there was the key."""
    shapes = Adapters().model_dump(exclude={"language": {"leave_out"}})
    assert shapes == {
        "init_seed": 2147483647,
        "language": {
            "non_linearity": "gelu_new",
            "reduction_factor": 2.0,
            "invertible_reduction_factor": 2.0,
        },
        "task": {"non_linearity": "gelu_new", "reduction_factor": 16.0},
    }
    assert LanguageAdapterShape(leave_out=(11, 10)).leave_out == (10, 11)


def test_a_layer_that_is_left_out_has_no_weights_and_is_not_trained(base: Path, made: Path) -> None:
    whole, kept = (read_adapter(made / name) for name in ("all/initial", "initial"))
    assert whole.keys() - kept.keys() == set(in_last_layer(whole)) != set()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in kept.items())
    with pytest.raises(InputError, match="layer 5 is beyond the 2 layers of the base model"):
        left_out.write(made / "all/initial", made / "beyond", [1, 5], LAST + 1)
    assert not (made / "beyond").exists()

    model = encoders.load_masked_lm(base)
    load_adapter(model, made / "initial", "es", with_head=False)
    train_only(model, "es")
    names = named_parameters(model, "es")
    assert not in_last_layer(names)
    assert any("layer.0." in name for name in names)
    assert any("invertible" in name for name in names)
    ids = helpers.chunks(2)
    masked_lm_loss(model, ids, ids).backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved and not in_last_layer(moved)


@torch.no_grad()
@pytest.mark.parametrize(("method", "point"), [("la", 0.65), ("layers", [0.2, 0.8]), ("ties20", 1)])
def test_merged_and_exported_it_loads_with_stock_adapters(
    base: Path, made: Path, tmp_path: Path, method: str, point: object
) -> None:
    recipe = {
        "method": method,
        "parameters": {"lambda": point},
        "operands": [{"adapter": str(made / name)} for name in ("en", "fr")],
    }
    if merging.get(method).needs_origin:
        recipe["origin"] = str(made / "initial")
    result = merged.merge(MergeRecipe.model_validate(recipe))
    assert not in_last_layer(result.tensors)
    merged.write(result, tmp_path / "merged", {})
    assert read_adapter(tmp_path / "merged").keys() == result.tensors.keys()
    described = json.loads((tmp_path / "merged/adapter_config.json").read_text())
    assert described["config"]["leave_out"] == [LAST]

    stock = AutoAdapterModel.from_pretrained(base)
    name = stock.load_adapter(str(tmp_path / "merged"), set_active=True)
    assert not in_last_layer(named_parameters(stock, name))
    here = encoders.load_encoder(base)
    load_adapter(here, made / "en", "x", with_head=False)
    here.set_active_adapters("x")
    write_in_place(named_parameters(here, "x"), result.tensors)
    ids = helpers.chunks(2)
    outputs = [m.eval().base_model(input_ids=ids).last_hidden_state for m in (stock, here)]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)


def test_adapters_with_and_without_the_layer_do_not_fit(base: Path, made: Path) -> None:
    assert ready_made.config_mismatch(made / "en", base) is None
    initial = made / "initial"
    ready_made.refuse_mismatched({"a": made / "en"}, initial, base, trained=True)
    ready_made.refuse_mismatched({"a": made / "en"}, initial, base, trained=False)
    with pytest.raises(InputError, match=r"\(leave_out \[\] instead of \[1\]"):
        ready_made.refuse_mismatched({"a": made / "whole"}, initial, base, trained=True)
    # ready-made ones alone must be as the key says, too
    with pytest.raises(InputError, match=r"leaves out the layers \[\], but adapters\.language\.le"):
        ready_made.refuse_mismatched({"a": made / "whole"}, initial, base, trained=False)
    # and without the key they need to fit each other
    with pytest.raises(InputError, match=r"does not fit a \(leave_out \[\] instead of \[1\]"):
        ready_made.refuse_mismatched(
            {"a": made / "en", "b": made / "whole"}, made / "whole", base, trained=False
        )
