"""Crops of MR volumes around the hippocampus."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.pretraining.appearance import blur
from medtap.pretraining.camera import between
from medtap.pretraining.scenes import pick, smooth_noise, uniform
from medtap.pretraining.synthetic import Task
from medtap.pretraining.tomography.draws import chance
from medtap.pretraining.tomography.hippocampus import AMYGDALA, HEAD, HORN, TAIL, brain_labels, draw_hippocampus
from medtap.pretraining.tomography.mr import receive, windowed
from medtap.pretraining.tomography.planes import draw_view
from medtap.pretraining.tomography.stretch import stretch
from medtap.pretraining.tomography.tissues import look_up

_LEAST_SHARE = 0.006
_FARTHER = 1.5  # out go slices that are to lack the class
_TARGETS = ((HEAD,),) * 4 + ((TAIL,),) * 4 + ((HEAD, TAIL),) * 2 + ((HORN,), (AMYGDALA,))


def brain_crops(n: int, size: int, generator: Generator, lacking: int = 0) -> Task:
    """Draw small T1-weighted MR crops around the hippocampus, at about 1 mm, stretched to a square.

    The class is the hippocampus' anterior or posterior part (most often), the whole, the temporal horn beside it or the
    amygdala; the border between the parts is a straight cut that no contrast shows. Imitates the crops of hippocampus
    segmentation challenges in any plane; a tenth of the tasks has another contrast.

    Args:
        n: number of pictures (patients).
        size: side S in pixels.
        generator: source of chance.
        lacking: the last so many pictures show as little of the class as can be, mostly nothing.

    Returns:
        Images [n,3,S,S] in [0,1] and masks [n,S,S] of the class.
    """
    target = torch.tensor(_TARGETS[pick(0, len(_TARGETS) - 1, generator)])
    labels = _slices(n, target, generator, lacking)
    shape = labels.shape[1:]
    tones = _tones(n, generator)
    texture = smooth_noise((n, 1), max(shape), pick(6, 14, generator), generator)[..., : shape[0], : shape[1]]
    images = look_up(labels, tones) + between(0, 0.06, generator) * texture
    images = receive(blur(images, between(0.4, 1.1, generator)), between(0.005, 0.06, generator), generator)
    return stretch(windowed(images), torch.isin(labels, target).float(), size)


def _slices(n: int, target: Tensor, generator: Generator, lacking: int) -> Tensor:
    """Labels [n,H,W] of one slice a patient, at one of the levels that show the target; the last ones farther out."""
    organ, view = draw_hippocampus(n, generator), draw_view(n, generator)
    folds = smooth_noise((1, 1), 128, pick(5, 10, generator), generator)
    folds = folds + between(0.2, 0.8, generator) * smooth_noise((n, 1), 128, pick(8, 16, generator), generator)
    reach = 20.0 if view.axes[2] == 0 else 8.0
    levels = torch.linspace(-reach, reach, 10)[:, None] + uniform(-1, 1, (10, n), generator)
    levels[:, n - lacking :] *= _FARTHER
    coarse = [brain_labels(*view.at(level, 3), organ, folds) for level in levels]
    shares = torch.stack([torch.isin(labels, target).float().mean((1, 2)) for labels in coarse])
    wanted = (shares > _LEAST_SHARE) * (1 + torch.rand(shares.shape, generator=generator)) + shares
    wanted[:, n - lacking :] = _of_least(shares[:, n - lacking :], generator)
    return brain_labels(*view.at(levels.gather(0, wanted.argmax(0, keepdim=True))[0], 1), organ, folds)


def _of_least(shares: Tensor, generator: Generator) -> Tensor:
    """Of shares [L,n], 1 to 2 at random where there is nothing, and less than 0 where there is more."""
    return (shares == 0) * (1 + torch.rand(shares.shape, generator=generator)) - shares


def _tones(n: int, generator: Generator) -> Tensor:
    """Intensities [n,L] of the brain's labels: T1-weighted, or in a tenth of the tasks turned round."""
    grey, step = between(0.42, 0.6, generator), between(0.07, 0.3, generator)
    hippocampus, amygdala, cortex, stem = uniform(-0.05, 0.05, (4,), generator).tolist()
    white, dark = grey + step, between(0.05, 0.25, generator)
    horn = dark + between(0, 0.12, generator)
    part = grey + hippocampus
    tones = [white, grey, dark, part, part, horn, grey + amygdala, grey + cortex, white + stem - 0.06]
    values = torch.tensor(tones)[None] + 0.02 * torch.randn((n, len(tones)), generator=generator)
    values[:, TAIL] = values[:, HEAD]
    return 1 - values if chance(0.1, generator) else values
