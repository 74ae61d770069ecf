"""PFENet's published checkpoints (https://github.com/dvlab-research/PFENet)."""

from __future__ import annotations

from medtap.networks.checkpoints.dilated_resnet import DILATED_RESNET
from medtap.networks.checkpoints.layout import Rule, Rules, under

GUIDANCE: list[Rule] = [
    (r"down_query\.0\.weight", ("guidance.query.0.weight",)),
    (r"down_supp\.0\.weight", ("guidance.support.0.weight",)),
]
"""What BAM has as well."""

_HEAD: list[Rule] = [
    (r"init_merge\.(\d)\.0\.weight", (r"enrichment.merge.\1.0.weight",)),
    (r"alpha_conv\.(\d)\.0\.weight", (r"enrichment.hand_down.\1.0.weight",)),
    (r"beta_conv\.(\d)\.([02])\.weight", (r"enrichment.refine.\1.pair.\2.weight",)),
    (r"inner_cls\.\d\.[03]\.(weight|bias)", ()),
]


def classifier_rules(ending: str) -> list[Rule]:
    """Where the parts of the last classifier are, whose names have an ending; its dropout is left out here."""
    return [
        (rf"res1{ending}\.0\.weight", ("classifier.narrow.0.weight",)),
        (rf"res2{ending}\.([02])\.weight", (r"classifier.refine.pair.\1.weight",)),
        (rf"cls{ending}\.0\.weight", ("classifier.classify.0.weight",)),
        (rf"cls{ending}\.3\.(weight|bias)", (r"classifier.classify.2.\1",)),
    ]


PFENET: dict[str, Rules] = {
    "resnet50": [*under("", "encoder.", DILATED_RESNET), *GUIDANCE, *_HEAD, *classifier_rules("")],
}
"""By backbone. The classifiers of each scale are for training alone."""
