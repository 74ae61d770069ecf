"""SAM (Kirillov et al., ICCV 2023) and the image path of SAM 2 (Ravi et al., ICLR 2025), without prompts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoConfig, Sam2Config, Sam2Model, SamConfig, SamModel

from medtap.chance import seeded
from medtap.data.resize import resize_images
from medtap.errors import OptionError, WeightsError
from medtap.networks.encoders import normalise
from medtap.networks.origin import origin
from medtap.networks.sam_head import SamHead
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory
from medtap.options import refuse_unknown_choice

CODE = "transformers' (Apache-2.0), head written afresh for medtap (Apache-2.0)"

_MODELS: dict[str, Any] = {"sam": SamModel, "sam2": Sam2Model, "sam2_video": Sam2Model}
"""By the type that a configuration names; the published SAM 2 are of videos, of which the image's part is taken."""


class SamSegmenter(FewShotSegmenter):
    """The vision encoder and the mask decoder of SAM or SAM 2, without prompts.

    The head looks at no support image: what is to be segmented is learnt by the adapter (and the head, where that is
    trained too). Unadapted it segments what SAM takes for the object. Of several classes only the class branch can tell
    one from another, so a network without it gives every class the same mask.

    Args:
        model: with a square input. Of SAM 2 the memory of earlier frames is left out.
        classes: N of a class branch, trained by `medtap.workflows.finetune`; 0 for none.

    Attributes:
        build: what `build_sam` takes to build it again, for the card that `save_network` writes.
    """

    looks_at_support = False

    def __init__(self, model: SamModel | Sam2Model, classes: int = 0) -> None:
        super().__init__()
        if classes < 0:
            raise OptionError("a class branch of less than no class", found=str(classes))
        self.encoder = model.vision_encoder
        self.head = SamHead(model, classes)
        self.classes, self.size = classes, cast("int", model.prompt_encoder.input_image_size)
        self.name = "sam"
        self.build: dict[str, Any] = {"config": model.config.to_diff_dict(), "classes": classes}

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into one embedding [B,C,S/16,S/16], of SAM 2 with its two finer maps.

        Images of another size are stretched to the S x S that SAM was built for (1024), as medtap does everywhere;
        SAM's own preprocessing pads them to a square instead (SAM 2's stretches them too). Normalises inside.
        """
        encoded = self.encoder(normalise(resize_images(images, self.size)))
        return tuple(encoded.fpn_hidden_states) if "fpn_hidden_states" in encoded else (encoded.last_hidden_state,)

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Nothing of the support images: label 0 [B,K], which stands for the first class."""
        return (support[-1].new_zeros(support_masks.shape[:2]),)

    def memory_of(self, classes: int, shots: int = 1) -> Memory:
        """The memory [N,K] by which `recall` tells each class from the rest: its label."""
        labels = torch.arange(1.0, classes + 1, device=self.head.places.device)
        return (labels.unsqueeze(1).repeat(1, shots),)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode an embedding [B,C,h,w] into logits [B,2,4h,4w] of the class that a memory [B,K] names."""
        logits = self.head(*reversed(query))
        labels = memory[0][:, 0].long().clamp_min(1)
        own = logits.gather(1, labels.view(-1, 1, 1, 1).expand(-1, 1, *logits.shape[-2:]))
        return torch.cat([logits[:, :1], own], dim=1)


@origin(encoder="SAM's or SAM 2's, any size", code=CODE, weights="a folder of save_pretrained's, or the hub")
def build_sam(
    config: SamConfig | Sam2Config | Mapping[str, Any] | None = None, classes: int = 0, seed: int = 0
) -> SamSegmenter:
    """SAM or SAM 2 of any size, without prompts: it learns a support set by adaptation alone.

    Args:
        config: transformers', or its plain values as a card keeps them; that of ViT-B when None. Weights are random.
        classes: N of a class branch, or 0.
        seed: of the weights.

    Raises:
        OptionError: the plain values are of another type of model.
    """
    own = config if isinstance(config, SamConfig | Sam2Config) else _config(config or {})
    with seeded(seed, "cpu"):
        return SamSegmenter(_MODELS[own.model_type](own).eval(), classes)


def _config(values: Mapping[str, Any]) -> SamConfig | Sam2Config:
    kind = values.get("model_type", "sam")
    refuse_unknown_choice("no SAM is of that type", kind, _MODELS)
    config: SamConfig | Sam2Config = _MODELS[kind].config_class.from_dict(dict(values))
    return config


def load_sam(source: str | Path, revision: str | None = None, classes: int = 0, seed: int = 0) -> SamSegmenter:
    """Load the weights of a SAM or SAM 2, from safetensors alone.

    Args:
        source: a folder that ``save_pretrained`` wrote, or a name on the Hugging Face hub.
        revision: of the hub's repository; should be a commit, so that the weights are the same tomorrow.
        classes: N of a class branch, whose weights are new, or 0.
        seed: of the new weights.

    Returns:
        The network, frozen, in evaluation.

    Raises:
        WeightsError: there are no such weights, they are no safetensors, or of another kind of model.
    """
    model = _pretrained(str(source), revision)
    with seeded(seed, "cpu"):
        network = SamSegmenter(model, classes)
    network.source = str(Path(source).resolve()) if Path(source).is_dir() else str(source)
    return network.eval().requires_grad_(False)


def _pretrained(source: str, revision: str | None) -> SamModel | Sam2Model:
    remedy = "name a folder that save_pretrained wrote, or a hub repository that can be reached"
    exactly = {} if revision is None else {"revision": revision}
    how: dict[str, Any] = {"use_safetensors": True, "output_loading_info": True, "dtype": torch.float32, **exactly}
    try:
        kind = _MODELS[AutoConfig.from_pretrained(source, **exactly).model_type]
        loaded: Any = kind.from_pretrained(source, **how)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        expected = "safetensors of a SAM or SAM 2"
        raise WeightsError("no SAM can be loaded", file=source, expected=expected, remedy=remedy) from error
    model, told = loaded
    missing = sorted(told["missing_keys"])
    if missing:
        raise WeightsError("the weights are not those of a SAM", file=source, found=f"none for {missing[0]!r}")
    return cast("SamModel | Sam2Model", model)
