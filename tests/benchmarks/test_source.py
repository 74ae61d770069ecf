"""Options are compared on the same episodes of the source domain."""

from __future__ import annotations

import pytest
import torch

from medtap.benchmarks import source
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
        assert scores["cost"]["seconds_per_episode"] > 0


def test_same_seed_same_episodes_and_scores(tmp_path):
    first, again = (source.run_source(_options(), seed=1, config=tmp_path) for _ in range(2))
    other = source.run_source(_options(), seed=2, config=tmp_path)
    assert first["episodes_sha256"] == again["episodes_sha256"] != other["episodes_sha256"]
    assert first["methods"]["tap"]["miou"] == again["methods"]["tap"]["miou"]


def test_zero_passes_is_the_network_itself():
    images, masks = next(source.draw_episodes(source.SourceOptions(**_options()), seed=0))
    network = tiny_network()
    row = source.run_method(network, [(images, masks)], source.SourceOptions(**_options()), METHODS["vanilla"], 0)
    with torch.no_grad():
        logits = network(images[2:], images[None, :2].expand(2, -1, -1, -1, -1), masks[None, :2].expand(2, -1, -1, -1))
    found, truth = logits.argmax(1).bool(), masks[2:].bool()
    assert row["miou"]["mean"] == pytest.approx(((found & truth).sum() / (found | truth).sum()).item())


def test_natural_episodes_alternate_with_generated_ones(data_root):
    options = source.SourceOptions(**_options(data=str(data_root / "natural"), episodes=2))
    first, second = source.draw_episodes(options, seed=0)
    generated, _ = source.draw_episodes(source.SourceOptions(**_options()), seed=0)
    assert torch.equal(first[0], generated[0])
    assert not torch.equal(second[0], generated[0])


def test_no_methods_is_refused():
    with pytest.raises(OptionError, match="a benchmark without methods"):
        source.SourceOptions()
