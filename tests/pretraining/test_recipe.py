"""A recipe read and run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medtap.errors import OptionError
from medtap.networks import BUILDERS, FewShotSegmenter, build_network, load_network, save_network
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.families import FOLD, PHOTOGRAPHIC, SCENES
from medtap.pretraining.folds import FoldOptions
from medtap.pretraining.meta_train import MetaTrainOptions
from medtap.pretraining.recipe import NaturalOptions, Recipe, pretrain, read_recipe
from tests.networks.tiny_lite import tiny_lite
from tests.networks.tiny_sam import tiny_sam
from tests.pretraining.folds.tiny_folds import write_coco, write_pascal
from tests.pretraining.test_natural import write
from tests.tiny import tiny_network

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(
    network="tiny",
    stages=(Stage(3, 32, pictures=3, images=[3]),),
    training=MetaTrainOptions(checkpoint_every=2, workers=0, bfloat16=False),
    validation=1,
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zoo knows a network ``tiny`` that can be trained."""

    def build() -> FewShotSegmenter:
        return tiny_network().requires_grad_(True)

    monkeypatch.setitem(BUILDERS, "tiny", build)


def yaml(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_every_shipped_recipe_is_read() -> None:
    shipped = sorted((ROOT / "configs" / "pretrain").glob("*.yaml"))
    assert shipped
    for path in shipped:
        recipe = read_recipe(path)
        assert recipe.network in BUILDERS
        assert sum(stage.steps for stage in recipe.stages) > 0
        named = {name for stage in recipe.stages for name in stage.mix}
        assert named <= {*SCENES, *PHOTOGRAPHIC, FOLD}
        assert bool(recipe.folds.folder) == (FOLD in named)


def test_every_shipped_recipe_of_a_fold_builds_its_network_and_shares_its_tasks_out() -> None:
    recipes = [read_recipe(path) for path in (ROOT / "configs" / "pretrain").glob("*.yaml")]
    folds = [recipe for recipe in recipes if recipe.folds.folder]
    assert {recipe.folds.layout for recipe in folds} == {"pascal", "coco"}
    for recipe in folds:
        with torch.device("meta"):
            network = build_network(recipe.network)
        assert recipe.training.train == "head"
        assert recipe.stages[-1].size == network.size
        assert len(TaskStream(recipe.stages, 0, {}, (3, 4))) == sum(stage.steps for stage in recipe.stages)


def test_what_is_read(tmp_path: Path) -> None:
    text = "{network: tiny, seed: 3, stages: [{steps: 2, size: 32, images: [4]}], natural: {folder: x}}"
    recipe = read_recipe(yaml(tmp_path, text), {"validation": 2})
    assert recipe.stages == (Stage(2, 32, images=[4]),)
    assert recipe.natural == NaturalOptions(folder="x")
    assert (recipe.seed, recipe.training.seed, recipe.validation) == (3, 3, 2)


def test_overrides_replace_the_file_s_keys(tmp_path: Path) -> None:
    path = yaml(tmp_path, "{network: tiny, stages: [{steps: 2, size: 32}]}")
    assert read_recipe(path, {"seed": 4, "stages": [{"steps": 1, "size": 64}]}).stages == (Stage(1, 64),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{network: tiny}", "the recipe lacks stages"),
        ("{}", "the recipe lacks network, stages"),
        ("{network: tiny, stages: [], sed: 1}", r"unknown option 'sed' \(did you mean 'seed'\?\)"),
        ("{network: tiny, stages: [{stps: 1}]}", r"unknown option 'stps' \(did you mean 'steps'\?\)"),
        ("{network: tiny, stages: [{steps: 1}]}", "missing option 'size'"),
        ("{network: tiny, stages: [], training: {lr: 1}}", "unknown option 'lr'"),
        ("{network: tiny, stages: [], natural: {sid: 1}}", r"did you mean 'side'\?"),
        ("{network: tiny, stages: [], folds: {fodl: 1}}", r"did you mean 'fold'\?"),
        ("{network: tiny, stages: [], folds: {layout: voc}}", r"a layout of pascal or coco, not 'voc'"),
        ("{network: tiny, stages: [], training: {train: encoder}}", "no part to train is called 'encoder'"),
        ("{network: tiny, stages: [{steps: 1, size: 32, images: [1]}]}", "a stage that no task fits into"),
        ("{network: tiny, stages: [{steps: 1, size: 32, looks: 0}]}", "looks of at least 1"),
    ],
)
def test_mistakes_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as refusal:
        read_recipe(yaml(tmp_path, text))
    assert "recipe.yaml" in str(refusal.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none.yaml: there is no such configuration"):
        read_recipe(tmp_path / "none.yaml")


def test_pretrained_network_is_loaded_by_its_folder(tmp_path: Path) -> None:
    folder = pretrain(RECIPE, tmp_path / "run", "tiny.yaml")
    network = load_network(folder)
    assert network.name == "tiny"
    card = json.loads((folder / "network.json").read_text())
    assert (card["network"], card["config"], card["seed"], card["steps"]) == ("tiny", "tiny.yaml", 0, 3)
    assert 0 <= card["generated_iou"] <= 1
    assert "natural_iou" not in card
    assert card["commit"]
    first = tiny_network().half().float().state_dict()
    assert any(not torch.equal(value, first[name]) for name, value in network.state_dict().items())


def test_same_seed_same_weights(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "again"):
        torch.rand(3)
        folder = pretrain(RECIPE, tmp_path / name, "tiny.yaml")
        contents.append((folder / "model.safetensors").read_bytes())
    assert contents[0] == contents[1]


def test_photographs_are_mixed_in_and_validated_on(tmp_path: Path) -> None:
    photographs = write(tmp_path / "natural", 24)
    natural = NaturalOptions(folder=str(photographs), side=32, hold_out_every=4)
    stages = (Stage(3, 32, pictures=6, mix={"natural": 1.0}),)
    recipe = Recipe("tiny", stages, natural, RECIPE.training, validation=1)
    card = json.loads((pretrain(recipe, tmp_path / "run", "tiny.yaml") / "network.json").read_text())
    assert 0 <= card["natural_iou"] <= 1


@pytest.mark.parametrize(
    ("layout", "write", "label"), [("pascal", write_pascal, 6), ("coco", write_coco, 2)], ids=["pascal", "coco"]
)
def test_a_head_is_trained_on_a_fold(tmp_path: Path, layout: str, write: Callable[..., Path], label: int) -> None:
    data, start = write(tmp_path / "data", [label] * 12 + [1] * 4), tmp_path / "start"
    given = tiny_network(seed=3)
    given.name = "tiny"
    save_network(given, start, {}, torch.float32)
    folds = FoldOptions(str(data), layout, 0, least_pixels=20, hold_out_every=2, mirrored=True)
    training = MetaTrainOptions(checkpoint_every=2, workers=0, train="head")
    stages = (Stage(2, 32, pictures=4, images=[2], mix={"fold": 1.0}),)
    recipe = Recipe("tiny", stages, training=training, validation=1, folds=folds, weights=str(start))
    folder = pretrain(recipe, tmp_path / "run", "tiny.yaml")
    card = json.loads((folder / "network.json").read_text())
    assert 0 <= card["fold_iou"] <= 1
    assert card["weights"] == str(start)
    assert (card["folds"]["layout"], card["folds"]["fold"]) == (layout, 0)
    assert not (folder / "network.json").read_text().count("generated_iou")
    trained, before = load_network(folder).state_dict(), given.half().float().state_dict()
    changed = {name for name, value in trained.items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)


def test_a_network_begins_with_its_teacher_s_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "lite", tiny_lite)
    given = tiny_network(seed=3)
    given.name = "tiny"
    save_network(given, tmp_path / "teacher", {}, torch.float32)
    training = MetaTrainOptions(checkpoint_every=2, workers=0, bfloat16=False, average=0.0)
    stages = (Stage(1, 32, pictures=3, images=[3], learning_rate=0.0),)
    recipe = Recipe("lite", stages, training=training, validation=1, teacher=str(tmp_path / "teacher"))
    folder = pretrain(recipe, tmp_path / "run", "lite.yaml")
    assert json.loads((folder / "network.json").read_text())["teacher"] == str(tmp_path / "teacher")
    own = load_network(folder).state_dict()
    head = {name: value for name, value in given.half().float().state_dict().items() if "encoder." not in name}
    assert all(torch.equal(own[name], value) for name, value in head.items())
    shutil.rmtree(tmp_path / "teacher")
    pretrain(recipe, folder, "lite.yaml")  # a run that goes on is taught no more


def test_networks_that_look_at_no_support_image_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "sam", tiny_sam)
    with pytest.raises(OptionError, match="'sam' looks at no support image"):
        pretrain(Recipe("sam", RECIPE.stages), tmp_path, "sam.yaml")
