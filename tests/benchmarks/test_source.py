"""Options are compared on the same episodes of the source domain."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medtap.adaptation import take_a_peek
from medtap.benchmarks import source, tap_method
from medtap.errors import OptionError
from tests.tiny import tiny_network

METHODS = {"vanilla": {"tap": {"passes": 0}}, "tap": {"tap": {"passes": 1}, "adapter": {"rank": 2}}}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(source, "load_network", lambda _: tiny_network())


def _options(**changes):
    return {"methods": METHODS, "size": 64, "shots": 2, "queries": 2, "episodes": 2, **changes}


def test_every_method_is_scored_on_every_query(tmp_path):
    results = source.run_source(_options(), seed=0, config=tmp_path)
    assert results["methods"].keys() == METHODS.keys()
    for scores in results["methods"].values():
        assert scores["cases"] == 4
        assert 0 <= scores["miou"]["mean"] <= 1
        assert scores["cost"]["adapt_seconds"] > 0


def test_same_seed_same_episodes_and_scores(tmp_path):
    first, again = (source.run_source(_options(), seed=1, config=tmp_path) for _ in range(2))
    other = source.run_source(_options(), seed=2, config=tmp_path)
    assert first["episodes_sha256"] == again["episodes_sha256"] != other["episodes_sha256"]
    assert first["methods"]["tap"]["miou"] == again["methods"]["tap"]["miou"]


def test_zero_passes_is_the_network_itself(tmp_path):
    options = _options(methods={"vanilla": METHODS["vanilla"]}, episodes=1)
    _, images, masks, _ = next(source.draw_episodes(source.SourceOptions(**options), seed=0))
    network = tiny_network()
    with torch.no_grad():
        logits = network(images[2:], images[None, :2].expand(2, -1, -1, -1, -1), masks[None, :2].expand(2, -1, -1, -1))
    found, truth = logits.argmax(1).bool(), masks[2:].bool()
    row = source.run_source(options, seed=0, config=tmp_path)["methods"]["vanilla"]
    assert row["miou"]["mean"] == pytest.approx(((found & truth).sum() / (found | truth).sum()).item(), abs=1e-4)


def test_masks_of_several_hands_are_of_the_same_pictures():
    own, others = (
        list(source.draw_episodes(source.SourceOptions(**_options(disagreement=disagreement)), seed=0))
        for disagreement in (0.0, 0.5)
    )
    for (_, images, masks, _), (_, same_images, redrawn, _) in zip(own, others, strict=True):
        assert torch.equal(images, same_images)
        assert masks.shape == redrawn.shape
    assert any(not torch.equal(one[2], other[2]) for one, other in zip(own, others, strict=True))
    with pytest.raises(OptionError, match=r"a disagreement of 0 to 0\.5"):
        source.SourceOptions(**_options(disagreement=0.6))


def test_families_take_turns_and_are_scored_as_classes(tmp_path, data_root):
    options = _options(data=str(data_root / "natural"), families=["generated", "natural"], episodes=3)
    families = [name for name, *_ in source.draw_episodes(source.SourceOptions(**options), seed=0)]
    assert families == ["generated", "natural", "generated"]
    row = source.run_source(options, seed=0, config=tmp_path)["methods"]["tap"]
    assert row["per_class"].keys() == {"generated", "natural"}
    assert row["difference_to_vanilla"].keys() >= {"miou", "dice"}


def test_no_methods_is_refused():
    with pytest.raises(OptionError, match="a benchmark without methods"):
        source.SourceOptions()


def test_the_last_queries_may_lack_the_class():
    options = source.SourceOptions(**_options(queries=3, lacking=2, families=["body", "thin"]))
    (_, _, body, _), (_, _, thin, _) = source.draw_episodes(options, seed=0)
    assert [bool(mask.any()) for mask in body] == [True, True, True, False, False]
    assert all(mask.any() for mask in thin)


def test_pictures_without_the_class_come_with_the_supports_for_methods_that_want_them(monkeypatch):
    methods = {"plain": {}, "one": {"lacking": 1}, "all": {"lacking": 9}}
    options = _options(methods=methods, lacking_shots=2, families=["body", "thin"])
    episodes = list(source.draw_episodes(source.SourceOptions(**options), seed=0))
    assert [len(lacking) for *_, lacking in episodes] == [2, 0]
    taught = []
    monkeypatch.setattr(tap_method, "take_a_peek", lambda *given: taught.append(given[1]) or take_a_peek(*given))
    source.run_source(options, seed=0, config=Path())
    assert [len(support.lacking) for support in taught] == [0, 0, 1, 0, 2, 0]
    assert torch.equal(taught[4].lacking, episodes[0][3])


@pytest.mark.parametrize("wrong", [{"lacking_shots": -1}, {"methods": {"one": {"lacking": -1}}}])
def test_fewer_pictures_than_none_are_refused(wrong):
    with pytest.raises(OptionError, match="expected 0 or more; found -1"):
        source.run_source(_options(**wrong), seed=0, config=Path())


def test_more_queries_that_lack_the_class_than_queries_are_refused():
    with pytest.raises(OptionError, match="expected 0 to 2 queries that lack the class; found 3"):
        source.SourceOptions(**_options(lacking=3))
