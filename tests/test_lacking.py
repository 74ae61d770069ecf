"""Pictures that show no class: drawn, learnt to find nothing in, never a shot, told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from medtap import take_many_peeks
from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import load_adapted
from medtap.adapters import Lora, build_adapter
from medtap.data import planes_of, read_scan
from medtap.datasets import find_cases
from medtap.episodes import draw_support
from medtap.errors import SupportError
from medtap.guard import as_many_steps, split_in_halves
from medtap.passes import pseudo_queries, show_a_class, steps_a_pass
from medtap.report.provenance import rerun
from medtap.support import SupportSet, SupportSource
from medtap.workflows import adapt, evaluate, predict
from tests.tiny import SIZE, random_images, support_set, tiny_network

Folders = tuple[Path, Path]
LORA = Lora(rank=4)


def with_lacking(shots: int, lacking: int, seed: int = 0) -> SupportSet:
    """Bright discs on noise, and noise alone."""
    shown = support_set(shots, seed=seed)
    pictures = 0.5 * random_images(lacking, seed=90 + seed)
    return SupportSet.from_tensors(shown.images, shown.masks, shown.classes, lacking=pictures)


def empty(path: Path) -> None:
    with Image.open(path) as picture:
        Image.new("L", picture.size).save(path)


def test_they_come_after_the_pairs_and_change_the_hash() -> None:
    support, without = with_lacking(3, 2), support_set(3)
    images, masks, volumes = support.pictures
    assert (support.shots, len(images), volumes.tolist()) == (3, 5, [0, 1, 2, 3, 4])
    assert show_a_class(masks).tolist() == [True] * 3 + [False] * 2
    assert torch.equal(images[3:], support.lacking)
    assert support.sha256 != without.sha256
    assert [each.data_ptr() for each in without.pictures[:2]] == [without.images.data_ptr(), without.masks.data_ptr()]


@pytest.mark.parametrize("lacking", [torch.rand(2, 3, 8, 8), torch.rand(2, 1, SIZE, SIZE)])
def test_they_must_fit_the_pairs(lacking: torch.Tensor) -> None:
    shown = support_set(2)
    with pytest.raises(SupportError, match=r"do not fit the support set; expected images \[N, 3, 64, 64\]"):
        SupportSet.from_tensors(shown.images, shown.masks, shown.classes, lacking=lacking)
    out = torch.full((1, 3, SIZE, SIZE), 1.5)
    with pytest.raises(SupportError, match="without a class that are out of range"):
        SupportSet.from_tensors(shown.images, shown.masks, shown.classes, lacking=out)


def test_planes_without_foreground_are_drawn_from_volume_after_volume(volumes: Folders) -> None:
    cases = find_cases(*volumes)
    support = draw_support(cases, shots=2, seed=0, size=32, lacking=4)
    plain = draw_support(cases, shots=2, seed=0, size=32)
    assert torch.equal(support.images, plain.images)
    assert len({source.name for source in support.lacking_sources[:3]}) == 3
    for source in support.lacking_sources:
        labels = read_scan(volumes[1] / f"{source.name}.nii.gz")
        assert not planes_of(labels.pixels, labels.geometry, "axial")[..., source.plane].any()
    assert draw_support(cases, shots=2, seed=0, size=32, lacking=4).sha256 == support.sha256
    with pytest.raises(SupportError, match=r"fewer pictures without a class.*found 24; --lacking 24"):
        draw_support(cases, shots=2, seed=0, size=32, lacking=25)


def test_images_of_empty_masks_are_drawn_as_such_and_are_no_shots(lesions: Folders) -> None:
    cases = find_cases(*lesions)
    for case in cases.cases[1:3]:
        empty(case.mask)
    support = draw_support(cases, shots=4, seed=0, size=32, lacking=2)
    assert {source.name for source in support.lacking_sources} == {"case1", "case2"}
    assert {source.name for source in support.sources} == {"case0", "case3", "case4", "case5"}
    with pytest.raises(SupportError, match=r"an empty mask in the support set.*--lacking"):
        draw_support(cases, shots=6, seed=0, size=32)
    with pytest.raises(SupportError, match="--lacking of 0 or more"):
        draw_support(cases, shots=2, seed=0, size=32, lacking=-1)


@pytest.mark.parametrize("shots", [1, 2, 7])
@pytest.mark.parametrize("schedule", ["per_pass", "per_group", "per_support"])
@pytest.mark.parametrize("drawn", [0, 2])
def test_they_are_pseudo_queries_and_never_shots(shots: int, schedule: str, drawn: int) -> None:
    images, masks, volumes = with_lacking(shots, 3).pictures
    options = TapOptions(passes=2, schedule=schedule, augment="upright", drawn=drawn)
    steps = [step for _, step in pseudo_queries(images, masks, options, torch.Generator().manual_seed(0), volumes)]
    assert len(steps) == 2 * options.steps_a_pass(shots, len(images))
    lacking = 0
    for step in steps:
        shown = show_a_class(step.masks)
        lacking += int((~shown[step.queries]).sum())
        assert shown[step.shots].all()
        if shots > 1:
            assert not (step.shots == step.queries[:, None]).any()
    assert lacking == 2 * 3


def test_planes_of_their_own_volume_do_not_segment_them() -> None:
    shown = support_set(3)
    names = [[SupportSource(name, plane) for name in "abc"] for plane in (4, 9)]
    lacking = 0.5 * random_images(3, seed=1)
    support = SupportSet.from_tensors(
        shown.images, shown.masks, shown.classes, sources=names[0], lacking=lacking, lacking_sources=names[1]
    )
    _, masks, volumes = support.pictures
    assert volumes.tolist() == [0, 1, 2, 0, 1, 2]
    generator = torch.Generator().manual_seed(0)
    (_, step), *_ = pseudo_queries(*support.pictures[:2], TapOptions(passes=1), generator, volumes)
    assert step.shots.tolist() == [[1, 2], [0, 2], [0, 1]] * 2
    for seen, held_out in split_in_halves(masks, volumes, seed=0):
        assert not set(volumes[seen].tolist()) & set(volumes[held_out].tolist())
        assert show_a_class(masks[seen]).any()
        assert show_a_class(masks[held_out]).any()


@pytest.mark.parametrize("shots", [2, 5])
def test_each_half_of_the_guard_shows_the_class(shots: int) -> None:
    _, masks, volumes = with_lacking(shots, 4).pictures
    halves = split_in_halves(masks, volumes, seed=0)
    for seen, held_out in halves:
        assert show_a_class(masks[seen]).any()
        assert show_a_class(masks[held_out]).any()
        assert not set(seen.tolist()) & set(held_out.tolist())
    assert {int((~show_a_class(masks[seen])).sum()) for seen, _ in halves} == {2}


@pytest.mark.parametrize(("shots", "lacking"), [(2, 8), (3, 5), (7, 20), (7, 0)])
@pytest.mark.parametrize("schedule", ["per_pass", "per_group", "per_support"])
def test_each_half_of_the_guard_is_trained_for_about_as_many_steps(shots: int, lacking: int, schedule: str) -> None:
    options = TapOptions(passes=8, schedule=schedule, average=4)
    _, masks, volumes = with_lacking(shots, lacking).pictures
    steps = options.passes * steps_a_pass(options, masks)
    for seen, _ in split_in_halves(masks, volumes, options.seed):
        own = as_many_steps(options, masks, masks[seen])
        assert abs(own.passes * steps_a_pass(options, masks[seen]) - steps) <= steps_a_pass(options, masks[seen])


@pytest.mark.parametrize("shots", [1, 4])
def test_less_is_found_in_what_lacks_the_class(shots: int) -> None:
    options = TapOptions(passes=15, learning_rate=1e-2, guard="none", views=0)
    supports, both = (support_set(shots), with_lacking(shots, 3)), build_adapter("lora+decoder")
    without, taught = (take_a_peek(tiny_network(), support, both, options) for support in supports)
    assert {kept.shape[1] for kept in taught.memory} == {shots}
    others = 0.5 * random_images(4, seed=123)
    with torch.no_grad():
        found = [network(others).softmax(1)[:, 1].mean() for network in (without, taught)]
    assert found[1] < 0.7 * found[0]


@pytest.mark.parametrize("schedule", ["per_pass", "per_group"])
def test_many_support_sets_are_adapted_to_as_each_alone(schedule: str) -> None:
    supports = [with_lacking(3, 2, seed) for seed in (0, 7)]
    options = TapOptions(passes=2, precision="float32", schedule=schedule)
    for own, support in zip(take_many_peeks(tiny_network(), supports, LORA, options), supports, strict=True):
        alone = take_a_peek(tiny_network(), support, LORA, options)
        assert own.record.losses == pytest.approx(alone.record.losses, abs=1e-4)
        assert own.record.check == pytest.approx(alone.record.check, abs=1e-4)
        assert len(own.record.lacking) == 2


def test_an_adapter_tells_them_and_leaves_them_out_of_scores(
    lesions: Folders, tiny_folder: Path, tmp_path: Path
) -> None:
    empty(lesions[1] / "case2_segmentation.png")
    run: dict[str, Any] = {"network": str(tiny_folder), "options": TapOptions(passes=1)}
    adapt(*lesions, tmp_path / "adapter", shots=2, lacking=1, **run)
    record = load_adapted(tmp_path / "adapter").record
    assert [source["name"] for source in record.lacking] == ["case2"]
    assert Image.open(tmp_path / "adapter" / "support.png").width > 2 * 256
    evaluate(tmp_path / "adapter", *lesions, tmp_path / "scores")
    assert len((tmp_path / "scores" / "metrics.csv").read_text().splitlines()) == 1 + 3
    outcome = predict(tmp_path / "adapter", lesions[0], tmp_path / "found")
    assert "3 of the images are in the support set" in outcome.warnings
    page = (tmp_path / "found" / "report.html").read_text()
    for told in ("--lacking 1", "case2 (shows no class)", "of foreground and 1 picture without,"):
        assert told in page


@pytest.mark.parametrize(("shown", "others"), [(4, None), (None, 9)])
def test_a_report_tells_planes_and_images_beside_one_another(shown: int | None, others: int | None) -> None:
    pair, lacking = support_set(1), 0.5 * random_images(1)
    sources = {"sources": [SupportSource("a", shown)], "lacking_sources": [SupportSource("b", others)]}
    support = SupportSet.from_tensors(pair.images, pair.masks, pair.classes, lacking=lacking, **sources)
    record = take_a_peek(tiny_network(), support, LORA, TapOptions(passes=0)).record
    rows = rerun("predict", {"adapter": "FOLDER"}, record, {}).support.rows
    assert [row[1] for row in rows] == ["-" if plane is None else str(plane + 1) for plane in (shown, others)]


def test_a_picture_that_is_said_to_show_a_class_and_not_to_is_a_warning() -> None:
    pairs = support_set(2)
    twice = SupportSet.from_tensors(pairs.images, pairs.masks, pairs.classes, lacking=pairs.images[1:])
    assert twice.warnings == ("the support set holds the same image twice: support-1 and lacking-0",)


def test_a_manifest_without_them_is_of_an_older_version(skin_adapter: Path) -> None:
    manifest = skin_adapter / "manifest.json"
    told = json.loads(manifest.read_text())
    assert told.pop("lacking") == []
    manifest.write_text(json.dumps(told))
    assert load_adapted(skin_adapter).record.lacking == ()


def test_planes_that_all_show_a_class_are_warned_of(volumes: Folders) -> None:
    cases = find_cases(*volumes)
    told = "every support plane shows foreground: it is found in nearly every plane of a volume, then"
    plain = draw_support(cases, shots=2, seed=0, size=32, classes=("one", "two"))
    always = [name for label, name in ((1, "one"), (2, "two")) if (plain.masks == label).flatten(1).any(1).all()]
    assert any(f"shows {', '.join(always)}: " in warning for warning in plain.warnings) is bool(always)
    assert not draw_support(cases, shots=2, seed=0, size=32, lacking=2).warnings
    planes = [SupportSource("a", 3), SupportSource("b", 4)]
    shown = support_set(2)
    (warning,) = SupportSet.from_tensors(shown.images, shown.masks, ("foreground",), sources=planes).warnings
    assert told in warning
    assert not SupportSet.from_tensors(shown.images, shown.masks, ("foreground",)).warnings
