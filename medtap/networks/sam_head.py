"""SAM's mask decoder without prompts, and the class branch that Conv-LoRA puts beside it for several classes."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Sam2Model, SamModel

_SPREAD = 0.02  # standard deviation of what tells copied mask tokens apart
_LEAST = 1e-6  # of a class's score, so that its logarithm is finite


class SamHead(nn.Module):
    """The parts of a SAM or SAM 2 behind its encoder that an image without prompts needs.

    The prompt encoder's part is constant then: no sparse token (SAM 2: twice the one that says that there is no point),
    and the no-mask embedding at every place (SAM 2: with the one that says that there is no memory). The heads that
    guess the IoU and whether there is an object are left out, since nothing here asks for their guess and Conv-LoRA
    does not train them; so SAM 2's first mask is never exchanged for another one that is more stable.

    Args:
        model: whose parts are taken; they are shared with it.
        classes: N of a class branch, or 0 for SAM's own first mask. With a branch each of T mask tokens gives a mask
            and logits of N + 1 classes (Zhong et al., ICLR 2024, section 3.2).
        tokens: T of a class branch; the first ones are SAM's own, the others copies of them.
    """

    no_mask: Tensor
    no_point: Tensor | None
    places: Tensor

    def __init__(self, model: SamModel | Sam2Model, classes: int = 0, tokens: int = 10) -> None:
        super().__init__()
        decoder = model.mask_decoder
        self.object_token: nn.Embedding | None = None
        self.iou_token, self.mask_tokens = decoder.iou_token, decoder.mask_tokens
        self.transformer = decoder.transformer
        self.upscale = nn.Sequential(
            decoder.upscale_conv1, decoder.upscale_layer_norm, nn.GELU(), decoder.upscale_conv2, nn.GELU()
        )
        self.mask_mlp = decoder.output_hypernetworks_mlps[0]
        self.classify: nn.Module | None = None
        if classes:
            self.mask_tokens = repeated(decoder.mask_tokens, tokens)
            width = decoder.hidden_size
            self.classify = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes + 1))
        self.laterals = nn.ModuleList()
        self.register_buffer("no_mask", model.prompt_encoder.no_mask_embed.weight.detach().clone().view(1, -1, 1, 1))
        self.register_buffer("no_point", None)
        self.register_buffer("places", model.get_image_wide_positional_embeddings().detach().clone())
        if isinstance(model, Sam2Model):
            self._add_parts_of_sam2(model)

    def _add_parts_of_sam2(self, model: Sam2Model) -> None:
        self.object_token = model.mask_decoder.obj_score_token
        self.laterals.extend([model.mask_decoder.conv_s1, model.mask_decoder.conv_s0])
        self.no_mask = self.no_mask + model.no_memory_embedding.detach().view(1, -1, 1, 1)
        self.no_point = model.prompt_encoder.not_a_point_embed.weight.detach().repeat(2, 1)

    def forward(self, embedding: Tensor, *finer: Tensor) -> Tensor:
        """Decode an image embedding [B,C,h,w] and, of SAM 2, the finer maps [B,C,2h,2w] and [B,C,4h,4w].

        Returns:
            Logits [B,2,4h,4w] of background and foreground; with a class branch [B,N+1,4h,4w].
        """
        tokens, masks = self.masks(embedding, *finer)
        if self.classify is None:
            return torch.cat([torch.zeros_like(masks[:, :1]), masks[:, :1]], dim=1)
        return class_logits(self.classify(tokens), masks)

    def masks(self, embedding: Tensor, *finer: Tensor) -> tuple[Tensor, Tensor]:
        """The decoded mask tokens [B,T,C] and the mask logits [B,T,4h,4w] that they give, T = 1 without a branch."""
        before = [token.weight for token in (self.object_token, self.iou_token) if token is not None]
        after = [] if self.no_point is None else [self.no_point]
        own = torch.cat([*before, self.mask_tokens.weight, *after])
        tokens, pixels = self.transformer(
            point_embeddings=own.expand(embedding.shape[0], 1, -1, -1),
            image_embeddings=embedding + self.no_mask,
            image_positional_embeddings=self.places,
            attention_similarity=None,
        )
        count = 1 if self.classify is None else self.mask_tokens.num_embeddings
        used = tokens[:, 0, len(before) : len(before) + count]
        maps = self._upscaled(pixels[:, 0].transpose(1, 2).unflatten(2, embedding.shape[-2:]), finer)
        return used, torch.einsum("btc,bchw->bthw", self.mask_mlp(used), maps)

    def _upscaled(self, maps: Tensor, finer: tuple[Tensor, ...]) -> Tensor:
        """Upscale maps [B,C,h,w] four times, each finer map added where its size is reached."""
        added = deque(lateral(part) for lateral, part in zip(self.laterals, finer, strict=True))
        for layer in self.upscale:
            maps = layer(maps)
            if added and isinstance(layer, nn.ConvTranspose2d):
                maps = maps + added.popleft()
        return maps


def class_logits(classes: Tensor, masks: Tensor) -> Tensor:
    """Score each class at each pixel by the mask tokens that give a mask there (MaskFormer's semantic inference).

    Unlike Mask2Former's, background is a class as any other, so that the scores can be trained pixel by pixel.

    Args:
        classes: logits [B,T,N+1] of each token, background first.
        masks: mask logits [B,T,h,w].

    Returns:
        The scores' logarithms [B,N+1,h,w].
    """
    scores = torch.einsum("btc,bthw->bchw", F.softmax(classes, dim=-1), torch.sigmoid(masks))
    return scores.clamp_min(_LEAST).log()


def repeated(tokens: nn.Embedding, count: int) -> nn.Embedding:
    """So many tokens, those given in turn; a copy is moved a little, since equal tokens would stay equal for ever."""
    own = tokens.weight.detach()
    rows = own[torch.arange(count) % len(own)]
    moved = rows + _SPREAD * torch.randn(rows.shape, device=rows.device, dtype=rows.dtype)
    first = (torch.arange(count, device=rows.device) < len(own)).unsqueeze(1)
    return nn.Embedding.from_pretrained(torch.where(first, rows, moved), freeze=False)
