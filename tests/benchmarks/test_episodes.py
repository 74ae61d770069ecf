"""The benchmark of episodes, whole: methods on the same queries, resumed where it was interrupted."""

from __future__ import annotations

import json

import pytest
import yaml

from medtap.benchmarks import run_benchmark
from medtap.benchmarks.bench import Bench
from medtap.benchmarks.episode_options import EpisodeOptions
from medtap.benchmarks.gallery import Gallery, Reading
from medtap.benchmarks.published import published_sets
from medtap.data.resize import resize_images
from medtap.episode_sampler import EpisodeSampler, episodes_sha256
from medtap.errors import OptionError, OutputError
from medtap.metrics import score_case
from medtap.networks import load_network
from medtap.networks.segmenter import resize_logits
from tests.benchmarks.skin import DIAGNOSES, write_skin

METHODS = {
    "vanilla": {"tap": {"passes": 0}},
    "tap": {"tap": {"passes": 1}, "adapter": {"rank": 2}, "inference": {"flips": "horizontal", "clean": "largest"}},
    "centred_disc": {},
    "otsu": {},
}
CHEAP = {"centred_disc": {}, "otsu": {}}


@pytest.fixture
def benchmark(tmp_path, tiny_folder):
    """Runs a benchmark on a small ISIC, with methods and options of the test's choice."""
    write_skin(tmp_path / "data" / "isic2017", each=4)

    def run(methods=CHEAP, out="out", say=lambda _: None, seed=0, overwrite=False, episodes=6, **changes):
        options = {"kind": "episodes", "layout": "isic2017", "folder": "isic2017", "by_group": True}
        options |= {"network": str(tiny_folder), "methods": methods, "score_size": 50, "queries_per_support": 2}
        config = tmp_path / "skin.yaml"
        config.write_text(yaml.safe_dump({**options, **changes}))
        asked = {"data": tmp_path / "data", "shots": 2, "episodes": episodes}
        return run_benchmark(config, tmp_path / out, seed=seed, overwrite=overwrite, say=say, **asked)

    return run


def test_every_method_is_scored_on_the_same_queries(benchmark, tmp_path):
    results = benchmark(METHODS, published="isic", note="Generated.")
    assert results["methods"].keys() == METHODS.keys()
    for name, row in results["methods"].items():
        assert row["cases"] == 6
        assert row["per_class"].keys() == DIAGNOSES.keys()
        for score in ("miou", "fb_iou", "dice", "iou"):
            assert 0 <= row[score]["mean"] <= 1
            assert row["native"][score]["mean"] is not None
        assert row["cost"].keys() >= {"adapt_seconds", "seconds_per_query", "peak_rss_mb"}
        assert ("difference_to_vanilla" in row) == (name != "vanilla")
    assert json.loads((tmp_path / "out" / "results.json").read_text())["methods"].keys() == METHODS.keys()
    page = (tmp_path / "out" / "table.md").read_text()
    for word in ("ABCDFSS", "53.3", "**tap** (this run)", "Generated.", "4 melanoma", "squares of 50 px"):
        assert word in page


def test_episodes_are_written_with_the_hash_that_results_tell(benchmark, tmp_path):
    results = benchmark()
    manifest = json.loads((tmp_path / "out" / "episodes.json").read_text())
    assert manifest["sha256"] == results["episodes_sha256"]
    assert len(manifest["episodes"]) == 6
    for episode in manifest["episodes"]:
        assert (tmp_path / "data" / "isic2017" / episode["query"]["file"]).is_file()
    benchmark(out="again")
    assert (tmp_path / "again" / "episodes.json").read_bytes() == (tmp_path / "out" / "episodes.json").read_bytes()
    assert benchmark(out="other", seed=1)["episodes_sha256"] != results["episodes_sha256"]


def test_vanilla_is_the_network_itself_on_the_queries_own_grid(benchmark, tmp_path, tiny_folder):
    row = benchmark({"vanilla": METHODS["vanilla"]}, size=64)["methods"]["vanilla"]
    gallery = Gallery(Reading(tmp_path / "data" / "isic2017", "isic2017", by_group=True))
    episodes = EpisodeSampler(gallery.pictures, shots=2, queries_per_support=2).draw(6)
    network, dice = load_network(tiny_folder), []
    for episode in episodes:
        support, query = gallery.support_set(episode.support, 64), gallery.sample(episode.query)
        logits = network(resize_images(query.image[None], 64), support.images[None], support.masks[None].float())
        found = resize_logits(logits, query.labels.shape).argmax(1)[0].byte()
        dice.append(score_case(found.numpy(), query.labels.numpy(), ("lesion",)).dice[0])
    assert row["native"]["dice"]["mean"] == pytest.approx(sum(dice) / len(dice), abs=1e-4)


def test_an_interrupted_run_goes_on_and_ends_as_one_that_was_not(benchmark, monkeypatch):
    measured = []
    run = Bench.run
    monkeypatch.setattr(Bench, "run", lambda self, *args: measured.append(args) or run(self, *args))

    def stop(text):
        if text.startswith("centred_disc 2/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark(say=stop)
    assert len(measured) == 2
    told = []
    resumed = benchmark(say=told.append)
    assert len(measured) == 6
    assert [text.endswith("of an earlier run") for text in told] == [True, True, False, False, False, False]
    fresh = benchmark(out="fresh")
    for name in CHEAP:
        assert resumed["methods"][name]["miou"] == fresh["methods"][name]["miou"]


def test_a_finished_run_takes_more_methods_and_measures_only_changed_ones(benchmark):
    first = benchmark()
    told = []
    changed = benchmark({**CHEAP, "otsu": {"size": 16}, "vanilla": METHODS["vanilla"]}, say=told.append)
    earlier = {text.split()[0] for text in told if text.endswith("of an earlier run")}
    assert earlier == {"centred_disc"}
    assert changed["methods"]["centred_disc"]["miou"] == first["methods"]["centred_disc"]["miou"]
    assert "difference_to_vanilla" in changed["methods"]["otsu"]


def test_a_longer_run_takes_what_the_shorter_one_measured(benchmark):
    told = []
    benchmark()
    benchmark(say=told.append, episodes=12)
    assert sum(text.endswith("of an earlier run") for text in told) == 6
    assert len(told) == 12


def test_overwrite_measures_anew_and_another_seed_is_refused_without_it(benchmark):
    benchmark()
    with pytest.raises(OutputError, match="finished run"):
        benchmark(seed=1)
    told = []
    benchmark(say=told.append, overwrite=True)
    assert not any("earlier run" in text for text in told)


def test_hash_of_the_manifest_is_that_of_the_sampler(benchmark, tmp_path):
    gallery = Gallery(Reading(tmp_path / "data" / "isic2017", "isic2017", by_group=True))
    drawn = EpisodeSampler(gallery.pictures, shots=2, queries_per_support=2).draw(6)
    assert benchmark()["episodes_sha256"] == episodes_sha256(drawn)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({}, "a benchmark without methods"),
        ({"mine": {"kind": "tab"}}, "unknown kind of the method 'mine'.*did you mean tap"),
        ({"tap": {"tap": {"pases": 1}}}, "did you mean 'passes'"),
        ({"otsu": {"tap": {}}}, "unknown option 'tap'"),
        ({"tap": {"inference": {"flips": "up"}}}, "unknown flips"),
    ],
)
def test_mistakes_in_methods_are_refused(benchmark, methods, message):
    with pytest.raises(OptionError, match=message):
        benchmark(methods)


def test_data_and_published_figures_are_needed_by_name():
    with pytest.raises(OptionError, match="name their folder with --data"):
        _ = EpisodeOptions(methods=CHEAP).reading
    with pytest.raises(OptionError, match="no figures are published of this set"):
        EpisodeOptions(methods=CHEAP, published="isik")
    assert {len(figures) for of in published_sets().values() for figures in of.values()} == {2}


def test_methods_may_learn_from_planes_that_show_nothing(volumes, tmp_path, tiny_folder):
    task = tmp_path / "task"
    task.mkdir()
    for folder, name in zip(volumes, ("imagesTr", "labelsTr"), strict=True):
        folder.rename(task / name)
    (task / "dataset.json").write_text('{"labels": {"0": "background", "1": "left", "2": "right"}}')
    vanilla = {"tap": {"passes": 0}, "size": 32}
    methods = {"vanilla": vanilla, "vanilla_lacking": {**vanilla, "lacking": 2}}
    options = {"kind": "episodes", "layout": "decathlon", "network": str(tiny_folder), "methods": methods}
    config = tmp_path / "slices.yaml"
    config.write_text(yaml.safe_dump({**options, "shots": 2, "lacking_shots": 2, "episodes": 2}))
    results = run_benchmark(config, tmp_path / "out", seed=0, data=task)
    assert results["protocol"]["lacking_shots"] == 2
    assert results["methods"]["vanilla_lacking"]["options"]["lacking"] == 2
    manifest = json.loads((tmp_path / "out" / "episodes.json").read_text())
    assert all(len(episode["lacking"]) == 2 for episode in manifest["episodes"])


def test_fewer_planes_that_show_nothing_than_none_are_refused():
    with pytest.raises(OptionError, match="lacking_shots"):
        EpisodeOptions(methods=CHEAP, lacking_shots=-1)
