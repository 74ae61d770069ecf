"""Crops of MR volumes around the hippocampus."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.appearance import blur
from medtap.pretraining.camera import between, chance
from medtap.pretraining.synthetic import Task
from medtap.pretraining.tomography.hippocampus import draw_hippocampus
from medtap.pretraining.tomography.mr import receive, windowed
from medtap.pretraining.tomography.planes import draw_view
from medtap.pretraining.tomography.stretch import stretch
from medtap.pretraining.tomography.temporal_lobe import Label, draw_neighbours, temporal_lobe
from medtap.pretraining.tomography.tissues import look_up

_LEAST_SHARE = 0.006
_FINER = 2  # pixels of a label map along each side of a pixel, whose tissues it mixes
_FARTHER = 1.5  # out go slices that are to lack the class
_TARGETS = (
    *((Label.HEAD,),) * 4,
    *((Label.TAIL,),) * 4,
    *((Label.HEAD, Label.TAIL),) * 2,
    *((Label.HORN,), (Label.AMYGDALA,)),
)


def brain_crops(n: int, size: int, generator: Generator, lacking: int = 0) -> Task:
    """Draw small T1-weighted MR crops around the hippocampus, at about 1 mm, stretched to a square.

    The class is the hippocampus' anterior or posterior part (most often), the whole, the temporal horn beside it or the
    amygdala; the border between the parts is a straight cut that no contrast shows. Imitates the crops of
    hippocampus segmentation challenges in any plane; a tenth of the tasks has another contrast.

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
    images = look_up(labels, _tones(n, generator))
    images = images + between(0, 0.05, generator) * _texture(n, images, generator)
    images = F.avg_pool2d(blur(images, between(0.5, 1.6, generator)), _FINER)
    images = images + between(0, 0.04, generator) * _texture(n, images, generator)
    images = receive(images, between(0.005, 0.06, generator), generator)
    if chance(0.3, generator):
        images = blur(images, between(0.3, 0.6, generator))
    masks = F.avg_pool2d(torch.isin(labels, target).float(), _FINER) >= 0.5
    return stretch(windowed(images), masks.float(), size)


def _texture(n: int, images: Tensor, generator: Generator) -> Tensor:
    """Smooth texture of a random scale for images [n,1,H,W]."""
    height, width = images.shape[-2:]
    cells = pick(5, max(height, width) // 3, generator)
    return smooth_noise((n, 1), max(height, width), cells, generator)[..., :height, :width]


def _slices(n: int, target: Tensor, generator: Generator, lacking: int) -> Tensor:
    """Labels [n,H,W] of one slice a patient, at one of the levels that show the target; the last ones farther out."""
    organ, view = draw_hippocampus(n, generator), draw_view(n, _FINER, generator)
    around = draw_neighbours(n, organ, generator)
    centre, reach = _extent(organ.spine, view.axes[2])
    levels = centre + reach * torch.linspace(-1, 1, 10)[:, None] + uniform(-1, 1, (10, n), generator)
    levels[:, n - lacking :] *= _FARTHER
    coarse = [temporal_lobe(*view.at(level, 3 * _FINER), organ, around) for level in levels]
    shares = torch.stack([torch.isin(labels, target).float().mean((1, 2)) for labels in coarse])
    wanted = (shares > _LEAST_SHARE) * (1 + torch.rand(shares.shape, generator=generator)) + shares
    wanted[:, n - lacking :] = _of_least(shares[:, n - lacking :], generator)
    return temporal_lobe(*view.at(levels.gather(0, wanted.argmax(0, keepdim=True))[0], 1), organ, around)


def _extent(spine: Tensor, axis: int) -> tuple[float, float]:
    """Middle and half length in mm that the hippocampi of spines [n,K,3] take up along an axis."""
    low, high = spine[..., axis].amin(1).mean(), spine[..., axis].amax(1).mean()
    return float(low + high) / 2, float(high - low) / 2 + 4


def _of_least(shares: Tensor, generator: Generator) -> Tensor:
    """Of shares [L,n], 1 to 2 at random where there is nothing, and less than 0 where there is more."""
    return (shares == 0) * (1 + torch.rand(shares.shape, generator=generator)) - shares


def _tones(n: int, generator: Generator) -> Tensor:
    """Intensities [n,L] of the labels: T1-weighted, or in a tenth of the tasks turned round."""
    grey, step = between(0.4, 0.6, generator), between(0.07, 0.3, generator)
    white, dark = grey + step, between(0.05, 0.3, generator)
    tones = torch.empty((len(Label),)).fill_(grey) + uniform(-0.05, 0.05, (len(Label),), generator)
    tones[Label.WHITE], tones[Label.CSF], tones[Label.HORN] = white, dark, dark + between(0, 0.12, generator)
    tones[Label.STEM] = white - between(-0.02, 0.1, generator)
    tones[Label.THALAMUS] = grey + step * between(0.4, 1, generator)
    values = tones + 0.02 * torch.randn((n, len(Label)), generator=generator)
    values[:, Label.TAIL] = values[:, Label.HEAD]
    return 1 - values if chance(0.1, generator) else values
