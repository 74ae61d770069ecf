"""Episodes by the few-shot protocol: what is drawn, what is never drawn, and the hash over it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from medtap.episode_sampler import EpisodeSampler, Picture, episodes_sha256, evenly, spread
from medtap.errors import OptionError, SupportError


def images(*groups, each=12):
    return tuple(Picture(f"{group}/{index}.png", group) for group in groups for index in range(each))


def planes(volumes=6, each=5, labels=(frozenset({1, 2}),)):
    return tuple(
        Picture(f"v{volume}.nii.gz", "organ", plane, labels[plane % len(labels)])
        for volume in range(volumes)
        for plane in range(each)
    )


def test_class_is_the_index_modulo_the_classes():
    drawn = EpisodeSampler(images("b", "a", "c"), shots=2).draw(10)
    assert [episode.group for episode in drawn] == ["a", "b", "c"] * 3 + ["a"]
    for episode in drawn:
        assert {picture.group for picture in (*episode.support, episode.query)} == {episode.group}


@pytest.mark.parametrize("shots", [1, 5])
def test_query_is_never_in_its_support_set_and_nothing_is_drawn_twice(shots):
    for episode in EpisodeSampler(images("a", "b"), shots).draw(60):
        files = [picture.file for picture in (*episode.support, episode.query)]
        assert len(set(files)) == shots + 1


def test_consecutive_episodes_of_a_class_share_a_support_set():
    drawn = EpisodeSampler(images("a", "b"), shots=2, queries_per_support=4).draw(24)
    for group in "ab":
        own = [episode for episode in drawn if episode.group == group]
        assert [episode.draw for episode in own] == [0] * 4 + [1] * 4 + [2] * 4
        for draw in range(3):
            shared = [episode for episode in own if episode.draw == draw]
            assert len({episode.support for episode in shared}) == 1
            assert len({episode.query for episode in shared}) == 4
        assert len({episode.support for episode in own}) == 3


def test_few_pictures_give_fewer_queries_a_support_set():
    drawn = EpisodeSampler(images("a", each=4), shots=2, queries_per_support=10).draw(6)
    assert [episode.draw for episode in drawn] == [0, 0, 1, 1, 2, 2]


def test_a_seed_gives_the_same_episodes_and_a_longer_list_begins_with_the_shorter():
    sampler = EpisodeSampler(images("a", "b"), shots=3, seed=4)
    assert sampler.draw(20) == replace(sampler).draw(40)[:20]
    digests = {episodes_sha256(replace(sampler, seed=seed).draw(20)) for seed in range(4)}
    assert len(digests) == 4


def test_hash_covers_every_file_and_plane():
    drawn = EpisodeSampler(planes(), shots=2).draw(3)
    first = drawn[0]
    other_query = replace(first, query=replace(first.query, plane=99))
    other_support = replace(first, support=(replace(first.support[0], file="x"), *first.support[1:]))
    digests = {episodes_sha256((changed, *drawn[1:])) for changed in (first, other_query, other_support)}
    assert len(digests) == 3


def test_queries_are_of_volumes_that_gave_no_support_plane():
    for episode in EpisodeSampler(planes(), shots=5).draw(40):
        volumes = [picture.file for picture in episode.support]
        assert len(set(volumes)) == 5
        assert episode.query.file not in volumes


def test_support_shows_every_label():
    some = planes(labels=(frozenset({1}), frozenset({1}), frozenset({2})))
    for episode in EpisodeSampler(some, shots=2).draw(60):
        assert frozenset().union(*(picture.labels for picture in episode.support)) == {1, 2}


def test_labels_that_no_shot_shows_together_are_refused():
    with pytest.raises(SupportError, match="no 1 pictures show every label of organ; give more --shots"):
        EpisodeSampler(planes(labels=(frozenset({1}), frozenset({2}))), shots=1).draw(1)


def test_patterns_choose_support_and_queries():
    pictures = tuple(Picture(f"x/{site}_{index}.png", "lung") for site in ("A", "B") for index in range(6))
    for episode in EpisodeSampler(pictures, 3, support="A_*", queries="B_*").draw(20):
        assert all(picture.file.startswith("x/A_") for picture in episode.support)
        assert episode.query.file.startswith("x/B_")


@pytest.mark.parametrize(
    ("shots", "each", "message"),
    [(5, 4, "too few pictures of a for a support set; expected 5; found 4"), (4, 4, "no picture of a is left")],
)
def test_too_few_pictures_are_refused(shots, each, message):
    with pytest.raises(SupportError, match=message):
        EpisodeSampler(images("a", each=each), shots).draw(1)


@pytest.mark.parametrize("options", [{"shots": 0}, {"queries_per_support": 0}, {"seed": -1}])
def test_numbers_that_cannot_be_are_refused(options):
    with pytest.raises(OptionError, match="episodes that cannot be drawn"):
        EpisodeSampler(images("a"), **{"shots": 1, **options})


def test_spread_takes_one_of_every_file_before_a_second():
    order = spread((*planes(volumes=3, each=4), Picture("one.nii.gz", "organ", 0)), np.random.default_rng(0))
    assert len({picture.file for picture in order[:4]}) == 4
    assert sorted(Counter(picture.file for picture in order).values()) == [1, 4, 4, 4]


def test_several_planes_of_each_volume_are_spread_over_it():
    for episode in EpisodeSampler(planes(volumes=4, each=9), shots=2, planes=3).draw(20):
        assert len(episode.support) == 6
        assert len({picture.file for picture in episode.support}) == 2
        assert [picture.plane for picture in episode.support] == [1, 4, 7, 1, 4, 7]
        assert episode.query.file not in {picture.file for picture in episode.support}


def test_a_volume_of_few_planes_gives_all_of_them():
    assert evenly(range(2), 5) == [0, 1]
    assert evenly(range(10), 2) == [2, 7]
    assert evenly(range(5), 5) == list(range(5))


def test_several_planes_are_drawn_from_different_volumes_only():
    sampler = EpisodeSampler(planes(volumes=3, each=4), shots=4, planes=2)
    with pytest.raises(SupportError, match="too few volumes"):
        sampler.draw(1)


def empty_planes(volumes=6, each=3):
    return tuple(
        Picture(f"v{volume}.nii.gz", "organ", 90 + plane, frozenset())
        for volume in range(volumes)
        for plane in range(each)
    )


def test_planes_that_show_nothing_are_of_the_support_s_volumes_and_change_nothing_else():
    plain = EpisodeSampler(planes(), shots=3, planes=2)
    drawn = replace(plain, empty=empty_planes(), lacking=4).draw(20)
    for episode in drawn:
        files = [picture.file for picture in episode.lacking]
        assert set(files) == {picture.file for picture in episode.support}
        assert len(set(files[:3])) == 3
        assert len(set(episode.lacking)) == 4
        assert all(not picture.labels for picture in episode.lacking)
    assert tuple(replace(episode, lacking=()) for episode in drawn) == plain.draw(20)
    assert episodes_sha256(drawn) != episodes_sha256(plain.draw(20))


def test_too_few_planes_that_show_nothing_are_refused():
    sampler = EpisodeSampler(planes(), shots=2, empty=empty_planes(each=1), lacking=3)
    with pytest.raises(SupportError, match="too few planes") as refused:
        sampler.draw(1)
    assert "found 2" in str(refused.value)
