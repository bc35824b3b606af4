"""SAN: Side Adapter Network for Open-Vocabulary Semantic Segmentation (arXiv 2302.12242).

A frozen CLIP sees the image at low resolution. A light side adapter sees it at full resolution,
borrows CLIP's shallow features, and gives mask proposals and attention biases; under these biases
[SLS] tokens recognize the proposals in CLIP's deep blocks. Trained end to end; proposals and their
classes meet in one matrix product.

B batch, Q proposals, C classes, D embedding, T supervised levels, (h, w) grid of the side adapter.
"""

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.postprocessing import sem_seg_postprocess
from torch.nn import functional as F

from san.errors import UserError

from ..mask_inference import NONE, Resize, label_map, none_share, semantic_scores
from .open_vocab import OpenVocabSegmentor
from .san_config import san_from_config


@META_ARCH_REGISTRY.register()
class SAN(OpenVocabSegmentor):
    """The whole model.

    Args:
        clip (ClipViT): shallow part of CLIP.
        side_adapter (SideAdapterNetwork)
        mask_decoder (MaskDecoder)
        mask_recognition (MaskRecognition | MaskPooling): deep part of CLIP.
        text_classifier (TextClassifier): with a no-object embedding.
        criterion (SetCriterion)
        clip_activation (str): "quick_gelu" or "gelu", what the CLIP towers were built with.
        clip_input_scale (float): size of CLIP's input over that of the image.
        resize_masks_first (bool): resize masks to the output and combine them with the classes
            there; else combine at the padded size and resize the scores.
        gradient_checkpointing (bool): compute every block again in the backward pass, in place of
            keeping what is inside it.
        pixel_mean, pixel_std, size_divisibility: see OpenVocabSegmentor.
    """

    @configurable
    def __init__(
        self,
        *,
        clip,
        side_adapter,
        mask_decoder,
        mask_recognition,
        text_classifier,
        criterion,
        clip_activation,
        pixel_mean,
        pixel_std,
        size_divisibility=32,
        clip_input_scale=0.5,
        resize_masks_first=True,
        gradient_checkpointing=False,
    ):
        super().__init__(
            text_classifier=text_classifier,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
            size_divisibility=size_divisibility,
        )
        self.clip = clip
        self.side_adapter = side_adapter
        self.mask_decoder = mask_decoder
        self.mask_recognition = mask_recognition
        self.criterion = criterion
        self.clip_activation = clip_activation
        self.clip_input_scale = clip_input_scale
        self.resize_masks_first = resize_masks_first
        for part in (clip, side_adapter, mask_recognition):
            part.recompute = gradient_checkpointing

    @classmethod
    def from_config(cls, cfg):
        """Translate a config into the arguments of ``__init__``."""
        return san_from_config(cfg)

    def forward(self, batched_inputs):
        """Segment images, or compute the losses in training.

        Args:
            batched_inputs (list[dict]): for each image
                "image" (3, H, W) uint8 or float 0..255, RGB;
                "vocabulary" list of words or of lists of synonyms, or a `Vocabulary`, or "meta"
                with "dataset_name";
                "height", "width": output size in pixels, the image's own if missing;
                "output": "sem_seg" (default) or "label_map";
                "background_threshold" float, see mask_inference.label_map, that of the
                `Vocabulary` if missing;
                "none_share" bool: give the share of "none of these" beside a label map;
                in training "instances" with gt_classes (N,) and gt_masks (N, H, W) bool, and
                "seed", an int that the random points of its losses depend on.

        Returns:
            list[dict]: "sem_seg" (C, height, width) float, or "label_map" (height, width) int32
            with -1 for none, "scores" (height, width) float and, if asked for, "none_share"
            (height, width) float. In training dict[str, Tensor] of losses.
        """
        text = self.embed_text(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        mask_logits, mask_embeds = self.propose(images.tensor)
        if self.training:
            return self._losses(batched_inputs, images, mask_logits, mask_embeds, text)
        results = []
        for i, inputs in enumerate(batched_inputs):
            class_logits = self.classify(mask_embeds[-1, i], text[i])
            with self.full_precision():
                results.append(self._infer(inputs, images, i, mask_logits[-1, i], class_logits))
        return results

    def propose(self, image):
        """(B, 3, H, W), normalized -> mask_logits (T, B, Q, h, w), mask_embeds (T, B, Q, D)."""
        features = self.clip(self._clip_input(image), self.side_adapter.fusion_map.values())
        queries, pixels = self.side_adapter(image, features.maps)
        levels = queries.shape[:2]  # (T, B)
        mask_logits, attn_bias = self.mask_decoder(queries.flatten(0, 1), pixels.flatten(0, 1))
        mask_logits = mask_logits.unflatten(0, levels)
        guide = mask_logits if attn_bias is None else attn_bias.unflatten(0, levels)
        return mask_logits, self.mask_recognition(features.tokens, features.grid_size, guide)

    def _clip_input(self, image):
        if self.clip_input_scale == 1:
            return image
        # Coordinates follow the scale factor, not the rounded size: the published weights expect it
        return F.interpolate(
            image, scale_factor=self.clip_input_scale, mode="bilinear", align_corners=False
        )

    def classify(self, mask_embeds, text):
        """mask_embeds (..., Q, D), TextEmbeddings -> class_logits (..., Q, C + 1), float32."""
        with self.full_precision():
            weights = self.text_classifier.logit_scale.exp() * text.embeds
            return text.classes(mask_embeds.float() @ weights.T)

    def _losses(self, batched_inputs, images, mask_logits, mask_embeds, text):
        for embeddings in text:
            if embeddings.num_classes != self.criterion.num_classes:
                raise UserError(
                    f"MODEL.SAN.NUM_CLASSES is {self.criterion.num_classes}, but the training "
                    f"vocabulary has {embeddings.num_classes} classes; set it to that"
                )
        class_logits = torch.stack(
            [self.classify(mask_embeds[:, i], text[i]) for i in range(len(text))], dim=1
        )  # (T, B, Q, C + 1)
        targets = [self._target(inputs, images.tensor.shape[-2:]) for inputs in batched_inputs]
        with self.full_precision():
            return self.criterion(class_logits, mask_logits, targets)

    def _target(self, inputs, padded_size):
        """What the criterion wants of one image, masks padded like the batch."""
        instances = inputs["instances"].to(self.device)
        height, width = instances.gt_masks.shape[-2:]
        padding = (0, padded_size[1] - width, 0, padded_size[0] - height)
        return {
            "classes": instances.gt_classes,
            "masks": F.pad(instances.gt_masks, padding),
            "seed": inputs.get("seed"),
        }

    def _infer(self, inputs, images, i, mask_logits, class_logits):
        """One image's result from mask_logits (Q, h, w) and class_logits (Q, C + 1)."""
        padded_size, image_size = tuple(images.tensor.shape[-2:]), tuple(images.image_sizes[i])
        output_size = inputs.get("height", image_size[0]), inputs.get("width", image_size[1])
        resize = Resize(padded_size, image_size, output_size)
        probs = class_logits.softmax(dim=-1)
        threshold = self.background_threshold_of(inputs)
        wants_labels = self.output_of(inputs) == "label_map"
        if wants_labels and self.resize_masks_first:
            labels, scores = label_map(mask_logits, probs, resize, threshold)
            result = {"label_map": labels, "scores": scores}
            if inputs.get("none_share"):
                result["none_share"] = none_share(mask_logits, probs, resize)
            return result
        if self.resize_masks_first:
            return {"sem_seg": semantic_scores(mask_logits, probs[:, :-1], resize)}
        whole = Resize(padded_size, padded_size, padded_size)
        sem_seg = semantic_scores(mask_logits, probs, whole)  # (C + 1, padded)
        sem_seg = sem_seg_postprocess(sem_seg, image_size, *output_size)
        if not wants_labels:
            return {"sem_seg": sem_seg[:-1]}
        scores, labels = sem_seg[:-1].max(dim=0)
        share = sem_seg[-1] / sem_seg.sum(dim=0).clamp_min(1e-12)
        if threshold is not None:
            labels = torch.where(share >= threshold, NONE, labels)
        result = {"label_map": labels.to(torch.int32), "scores": scores}
        return {**result, "none_share": share} if inputs.get("none_share") else result
