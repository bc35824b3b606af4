"""CLIP (Radford et al., arXiv 2103.00020): contrastive training, zero-shot classification.

An image and a caption are embedded by one transformer each; pairs of a batch must find each other.
The weights are those of open_clip's ``CLIP``, and SAN builds on them
(``MODEL.SAN.CLIP_PRETRAINED_NAME``).

B images, C classes, D embedding, S image size.
"""

import math

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from san.errors import UserError
from san.weight_file import save_weights

from ..backbone.clip import build_clip
from ..backbone.clip_vit import ImageEncoder
from ..contrastive_loss import ContrastiveLoss
from ..layers import call
from ..mosaic import NUM_TILES, TileEncoder, tile, untile
from ..text.classifier import TextClassifier
from ..text.templates import get_templates
from .open_vocab import OpenVocabSegmentor
from .san_config import num_shallow

OUTPUTS = ("class_logits", "embeddings")
MAX_LOGIT_SCALE = math.log(100)


@META_ARCH_REGISTRY.register()
class CLIP(nn.Module):
    """The whole model, all of it trained.

    Args:
        clip (open_clip.CLIP): both towers and the temperature.
        text_classifier (TextClassifier): over the text tower of ``clip``, without no-object.
        criterion (ContrastiveLoss)
        clip_activation (str): "quick_gelu" or "gelu", what the towers were built with.
        pixel_mean, pixel_std (sequence[float]): RGB, of pixel values 0..255.
        chunk_size (int): pairs whose activations are held at once in training; 0: the whole batch.
            Smaller chunks give the same gradients for less memory and a second forward pass.
        num_shallow (int): blocks in which [CLS] sees a whole mosaic; None: there are no mosaics.
    """

    @configurable
    def __init__(
        self,
        *,
        clip,
        text_classifier,
        criterion,
        clip_activation,
        pixel_mean,
        pixel_std,
        chunk_size=0,
        num_shallow=None,
    ):
        super().__init__()
        self.clip = clip.requires_grad_(True)  # the classifier has frozen the text tower
        # Views of the towers, not parts beside them: their weights appear once in a state dict
        object.__setattr__(self, "text_classifier", text_classifier)
        object.__setattr__(self, "image_encoder", ImageEncoder(clip.visual))
        if num_shallow is not None:
            object.__setattr__(self, "tile_encoder", TileEncoder(clip.visual, num_shallow))
        self.criterion = criterion
        self.clip_activation = clip_activation
        self.chunk_size = chunk_size
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1), False)

    @classmethod
    def from_config(cls, cfg):
        """Translate a config into the arguments of ``__init__``.

        Raises:
            UserError: a value that does not exist, by the key's name.
        """
        node = cfg.MODEL.SAN
        if cfg.MODEL.CLIP.CHUNK_SIZE < 0:
            raise UserError(
                f"MODEL.CLIP.CHUNK_SIZE is {cfg.MODEL.CLIP.CHUNK_SIZE}; it is a number of pairs, "
                "or 0 for the whole batch"
            )
        built = build_clip(
            node.CLIP_MODEL_NAME,
            node.CLIP_PRETRAINED_NAME,
            node.CLIP_ACTIVATION,
            load_weights=not cfg.MODEL.WEIGHTS,
        )
        templates = get_templates(node.CLIP_TEMPLATE_SET)
        return {
            "clip": built.model,
            "text_classifier": TextClassifier(built.model, built.tokenizer, templates),
            "criterion": ContrastiveLoss(),
            "clip_activation": built.activation,
            "pixel_mean": [255.0 * x for x in built.pixel_mean],
            "pixel_std": [255.0 * x for x in built.pixel_std],
            "chunk_size": cfg.MODEL.CLIP.CHUNK_SIZE,
            "num_shallow": num_shallow(node, built.model.visual)
            if cfg.INPUT.CLIP_MOSAIC_SIZES_TRAIN
            else None,
        }

    @property
    def device(self):
        """Where the model is."""
        return self.pixel_mean.device

    def forward(self, batched_inputs):
        """Compare images with captions or classes.

        Args:
            batched_inputs (list[dict]): for each image
                "image" (3, S, S) uint8 or float 0..255, RGB; in training any one size of a batch;
                in training "tokens" (context,) int64, of its caption, "content" (str or int):
                images of equal content are described by each other's captions too, and, in all or
                none, "position_window" (3,), see `window_pos_embed`, or "mosaic", of any value;
                else "output": "class_logits" (default), with "vocabulary" or "meta" and its
                "dataset_name", or "embeddings", with "captions" (list[str], may be missing).

        Returns:
            list[dict]: "class_logits" (C,), or "image_embed" (D,) and "caption_embeds" (n, D), of
            unit norm; all float32. In training dict[str, Tensor] with "loss_contrastive".
        """
        images = self.preprocess_image(batched_inputs)  # (B, 3, H, W)
        if self.training and "mosaic" in batched_inputs[0]:
            image_embeds = self.embed_tiles(images)  # (B, D)
        else:
            image_embeds = self.embed_images(images, _position_windows(batched_inputs))  # (B, D)
        if self.training:
            tokens = torch.stack([x["tokens"] for x in batched_inputs])  # (B, context)
            text_embeds = self.embed_tokens(tokens.to(self.device))  # (B, D)
            contents = [x["content"] for x in batched_inputs]
            with torch.autocast(self.device.type, enabled=False):
                scale = self.clip.logit_scale.exp()
                loss = self.criterion(image_embeds, text_embeds, scale, contents)
            return {"loss_contrastive": loss}
        return self._infer(batched_inputs, image_embeds)

    def preprocess_image(self, batched_inputs):
        """Normalized images (B, 3, S, S), in training (B, 3, H, W)."""
        size = tuple(self.clip.visual.image_size)
        if self.training:
            size = tuple(batched_inputs[0]["image"].shape[-2:])
        for inputs in batched_inputs:
            if tuple(inputs["image"].shape) != (3, *size):
                raise UserError(
                    f"a model input has an image of shape {tuple(inputs['image'].shape)}; this "
                    f"CLIP takes (3, {size[0]}, {size[1]}): resize it"
                )
        images = torch.stack([x["image"] for x in batched_inputs]).to(self.device)
        return (images - self.pixel_mean) / self.pixel_std

    def embed_images(self, images, windows=None):
        """Normalized images (B, 3, H, W) -> (B, D) float32, unit norm.

        Args:
            windows (Tensor | None): (B, 3), where in the grid of positions, see `window_pos_embed`.
        """
        windows = None if windows is None else windows.to(self.device)
        return self._embed(self.image_encoder, images, windows)

    def embed_tiles(self, images):
        """Normalized images (B, 3, H, W), which make mosaics -> (B, D) float32, unit norm."""
        return untile(self._embed(self.tile_encoder, tile(images), pairs=NUM_TILES))

    def embed_captions(self, captions):
        """Captions, each cut at the context length -> (B, D) float32, unit norm."""
        return self.embed_tokens(self.text_classifier.tokenizer(captions).to(self.device))

    def embed_tokens(self, tokens):
        """Tokens (B, context) -> (B, D) float32, unit norm."""
        return self._embed(self.text_classifier.text_encoder, tokens)

    def _embed(self, encode, *inputs, pairs=1):
        """``F.normalize(encode(*inputs))``, chunk by chunk where the config asks for it.

        Args:
            pairs (int): in one row of the inputs.
        """
        inputs = [x for x in inputs if x is not None]
        if self.training and self.chunk_size:
            rows = max(1, self.chunk_size // pairs)
            parts = zip(*(x.split(rows) for x in inputs), strict=True)
            embeds = torch.cat([call(encode, *part, recompute=True) for part in parts])
        else:
            embeds = encode(*inputs)
        return F.normalize(embeds.float(), dim=-1)

    def _infer(self, batched_inputs, image_embeds):
        """Results of a batch; the captions of all its images are embedded at once."""
        outputs = [self._output_of(inputs) for inputs in batched_inputs]
        captions = [
            inputs.get("captions", []) if output == "embeddings" else []
            for inputs, output in zip(batched_inputs, outputs, strict=True)
        ]
        texts = [caption for own in captions for caption in own]
        embeds = self.embed_captions(texts) if texts else image_embeds.new_empty(0, 1)
        caption_embeds = embeds.split([len(own) for own in captions])  # of each image (n, D)
        results = []
        for i, inputs in enumerate(batched_inputs):
            if outputs[i] == "class_logits":
                results.append({"class_logits": self.classify(image_embeds[i], inputs)})
            else:
                result = {"image_embed": image_embeds[i]}
                if captions[i]:
                    result["caption_embeds"] = caption_embeds[i]
                results.append(result)
        return results

    @staticmethod
    def _output_of(inputs):
        output = inputs.get("output", "class_logits")
        if output not in OUTPUTS:
            raise UserError(f"a model input asks for output {output!r}; there are {OUTPUTS}")
        return output

    def classify(self, image_embed, inputs):
        """Image embedding (D,) -> class_logits (C,) for the vocabulary of its input."""
        text = self.text_classifier(OpenVocabSegmentor.vocabulary_of(inputs))
        word_logits = self.clip.logit_scale.exp() * (text.embeds @ image_embed)  # (W,)
        return text.classes(word_logits)

    @torch.no_grad()
    def clamp_logit_scale(self):
        """Keep the inverse temperature between 1 and 100 (Sec. 2.5)."""
        self.clip.logit_scale.clamp_(0, MAX_LOGIT_SCALE)

    def export(self, path):
        """Write the weights under open_clip's own names, for MODEL.SAN.CLIP_PRETRAINED_NAME.

        Args:
            path (str): of a .safetensors or .pth file; the activation stands in its metadata.
        """
        save_weights(path, self.clip.state_dict(), {"clip_activation": self.clip_activation})


def _position_windows(batched_inputs):
    """(B, 3) of a batch, or None where its images take up the whole grid."""
    windows = [x["position_window"] for x in batched_inputs if "position_window" in x]
    return torch.stack(windows) if windows else None
