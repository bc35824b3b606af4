"""Dense CLIP: each patch of a frozen CLIP is classified by its own embedding, without training.

The baseline of MaskCLIP (arXiv 2112.01071) and SCLIP (arXiv 2312.01597), and what both are made of:
they put another attention in the last block.

B batch, C classes, W words (synonyms included), D embedding, (h, w) grid of patches.
"""

from functools import partial

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch.nn import functional as F

from ..backbone.clip_vit import DenseClipViT
from ..dense_inference import label_map, semantic_scores, tile_side
from ..sliding_window import SlidingWindow
from ..tiles import cut, tiles
from .dense_clip_config import dense_clip_from_config
from .open_vocab import OpenVocabSegmentor


@META_ARCH_REGISTRY.register()
class DenseCLIP(OpenVocabSegmentor):
    """CLIP as it is.

    Args:
        clip (DenseClipViT): the vision tower, with the method's last attention.
        text_classifier (TextClassifier): without a no-object embedding.
        clip_activation (str): "quick_gelu" or "gelu", what the CLIP towers were built with.
        inference (DenseInference): for inputs without a protocol.
        refinement (Pamr)
        windows_per_batch (int): windows of an image that are computed together.
        pixel_mean, pixel_std: see OpenVocabSegmentor.
    """

    @configurable
    def __init__(
        self,
        *,
        clip,
        text_classifier,
        clip_activation,
        inference,
        pixel_mean,
        pixel_std,
        refinement,
        windows_per_batch=8,
    ):
        super().__init__(
            text_classifier=text_classifier,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
            size_divisibility=0,  # windows are padded, images are not
        )
        self.clip = clip
        self.clip_activation = clip_activation
        self.inference = inference
        self.refinement = refinement
        self.windows_per_batch = windows_per_batch

    @classmethod
    def from_config(cls, cfg):
        """Translate a config into the arguments of ``__init__``."""
        return dense_clip_from_config(cfg, DenseClipViT)

    def forward(self, batched_inputs):
        """Segment images.

        Args:
            batched_inputs (list[dict]): for each image
                "image" (3, H, W) uint8 or float 0..255, RGB;
                "vocabulary" list of words or of lists of synonyms, or "meta" with "dataset_name";
                "height", "width": output size in pixels, the image's own if missing;
                "output": "sem_seg" (default) or "label_map";
                "background_threshold" float, see dense_inference.label_map;
                "protocol" (san.protocol.Protocol): its window, scale and background rules go before
                those of the config.

        Returns:
            list[dict]: "sem_seg" (C, height, width) float, or "label_map" (height, width) int32
            with -1 for none and "scores" (height, width) float.
        """
        texts = self.embed_text(batched_inputs)
        return [
            self._infer(inputs, text) for inputs, text in zip(batched_inputs, texts, strict=True)
        ]

    def _infer(self, inputs, text):
        inference = self.inference.under(inputs.get("protocol"))
        image = self.preprocess_image([inputs]).tensor[0]  # (3, H, W)
        windows = self.windows(image, inference)
        cosines = self.classify(image, windows, text)  # (W, n_r * h, n_c * w)
        with self.full_precision():
            return self._read(inputs, text, inference, image, windows, cosines)

    def _read(self, inputs, text, inference, image, windows, cosines):
        """The result of one image from the cosines of its windows."""
        height, width = image.shape[1:]
        output_size = inputs.get("height", height), inputs.get("width", width)
        side = tile_side(len(cosines), self.device)
        bands = (cut(axis, side, self.device) for axis in windows.weights(output_size))
        make_tiles = partial(tiles, cosines, *bands)
        if self.refinement.steps:
            make_tiles = self._refine(make_tiles, image, output_size, len(cosines))
        scale = self.logit_scale(inference)
        arguments = (make_tiles, output_size, text, scale, inference.background)
        if self.output_of(inputs) == "sem_seg":
            return {"sem_seg": semantic_scores(*arguments)}
        labels, scores = label_map(*arguments, self.background_threshold_of(inputs))
        return {"label_map": labels, "scores": scores}

    def windows(self, image, inference):
        """The sliding window over an image (3, H, W)."""
        return SlidingWindow(
            image.shape[1:], inference.window, inference.stride, self.clip.patch_size
        )

    def logit_scale(self, inference):
        """Factor of the cosines."""
        return inference.logit_scale or self.text_classifier.logit_scale.exp()

    def classify(self, image, windows, text):
        """Cosines of all patches and words.

        Args:
            image (Tensor): (3, H, W), normalized.
            windows (SlidingWindow)
            text (TextEmbeddings)

        Returns:
            Tensor: (W, n_r * h, n_c * w) float32, the windows side by side.
        """
        cosines, keys = [], []
        for batch in windows.cut(image, self.windows_per_batch):
            features = self.clip(batch)
            cosines.append(self.cosines(features.patch_embeds, text))
            keys.append(features.keys)
        cosines = self.refine_windows(torch.cat(cosines), keys)
        return windows.mosaic(cosines.unflatten(1, windows.grid_size))

    def cosines(self, patch_embeds, text):
        """(B, h * w, D), TextEmbeddings -> (B, h * w, W) float32."""
        with self.full_precision():
            return F.normalize(patch_embeds.float(), dim=-1) @ text.embeds.T

    def refine_windows(self, cosines, keys):
        """For methods that refine what CLIP sees.

        Args:
            cosines (Tensor): (n, h * w, W) of all windows of an image.
            keys (list[Tensor]): in batches, (b, h * w, E) of the last block.

        Returns:
            Tensor: (n, h * w, W).
        """
        return cosines

    def _refine(self, make_tiles, image, output_size, num_words):
        """PAMR needs the cosines of all pixels at once, in bands of rows afterwards."""
        maps = image.new_empty((num_words, *output_size), dtype=torch.float32)
        for rows, columns, cosines in make_tiles():
            maps[:, rows, columns] = cosines
        image = F.interpolate(image[None], output_size, mode="bilinear", align_corners=False)[0]
        maps = self.refinement(image, maps)
        step = max(1, tile_side(num_words, self.device) ** 2 // output_size[1])
        bands = [slice(i, i + step) for i in range(0, output_size[0], step)]
        return lambda: ((rows, slice(None), maps[:, rows]) for rows in bands)
