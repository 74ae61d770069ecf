"""BAM's published checkpoints (https://github.com/chunbolang/BAM), with and without the base learner."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from medtap.networks.checkpoints.dilated_resnet import DILATED_RESNET
from medtap.networks.checkpoints.layout import Rule, Rules, under
from medtap.networks.checkpoints.pfenet import GUIDANCE, classifier_rules

_STATE = r"(weight|bias|running_mean|running_var|num_batches_tracked)"

_META: list[Rule] = [
    *under("", "encoder.", DILATED_RESNET),
    *GUIDANCE,
    (r"init_merge\.0\.weight", ("merge.0.weight",)),
    (r"ASPP_meta\.layer6_0\.0\.(weight|bias)", (r"aspp.whole.0.\1",)),
    *((rf"ASPP_meta\.layer6_{i + 1}\.0\.(weight|bias)", (rf"aspp.branches.{i}.0.\1",)) for i in range(4)),
    *classifier_rules("_meta"),
    (r"kshot_rw\.([02])\.(weight|bias)", (r"weighting.mix.\1.\2",)),
]

_ENSEMBLE: list[Rule] = [
    *((rf"learner_base\.0\.features\.(\d)\.{i + 1}\.{_STATE}", (rf"base.levels.\1.{i}.\2",)) for i in range(2)),
    (rf"learner_base\.1\.([01])\.{_STATE}", (r"base.classify.\1.\2",)),
    (r"learner_base\.1\.4\.(weight|bias)", (r"base.classify.3.\1",)),
    (r"gram_merge\.weight", ("adjust.weight",)),
    (r"cls_merge\.weight", ("merge.weight",)),
]

BAM_ENSEMBLE: dict[str, Rules] = {"resnet50": [*_META, *under("", "ensemble.", _ENSEMBLE)]}
"""By backbone: the meta learner and the base learner."""

BAM: dict[str, Rules] = {"resnet50": [*_META, *((pattern, ()) for pattern, _ in _ENSEMBLE)]}
"""By backbone: the meta learner alone, the base learner left out."""


def bam_build(official: Mapping[str, Tensor]) -> dict[str, int]:
    """What the meta learner's builder takes: the shots that weights were learnt for, where they were."""
    learnt = official.get("kshot_rw.0.weight")
    return {} if learnt is None else {"shots": learnt.shape[1]}


def bam_ensemble_build(official: Mapping[str, Tensor]) -> dict[str, int]:
    """What the ensemble's builder takes: the base learner's classes without the background, and the shots."""
    scores = official.get("learner_base.1.4.bias")
    return bam_build(official) | ({} if scores is None else {"base_classes": len(scores) - 1})
