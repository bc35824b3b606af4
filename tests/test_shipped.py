"""The weights that ship have learned what their model card says, as far as a small sample shows."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as F

from san import Segmenter
from san.config import load_config
from san.data.shapescenes.classes import CLASSES, THING_IDS
from san.data.shapescenes.label_sets import IGNORE_LABEL, LABEL_SETS
from san.data.shapescenes.render import render
from san.data.shapescenes.splits import SPLITS, plan_item, thing_class
from san.data.shapescenes.writer import to_labels
from san.evaluation.confusion import count_pairs
from san.evaluation.metrics import segmentation_metrics
from san.modeling.meta_arch import CLIP

NUM_CROPS, NUM_SCENES = 256, 24


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.from_pretrained("san_tiny", device="cpu")


@torch.no_grad()
def test_clip_names_single_things():
    options = ["MODEL.SAN.CLIP_PRETRAINED_NAME", "san://clip_tiny", "MODEL.DEVICE", "cpu"]
    model = CLIP(load_config("clip_tiny_shapescenes.yaml", options)).eval()
    names = [CLASSES[i].name for i in THING_IDS]
    inputs, truth = [], []
    for index in range(NUM_CROPS):
        item = plan_item(SPLITS["crops_val"], 0, index)
        image = F.to_tensor(Image.fromarray(render(item.scene)[0]))
        image = F.resize(image, [64, 64], F.InterpolationMode.BICUBIC)
        inputs.append({"image": 255 * image.clamp(0, 1), "vocabulary": names})
        truth.append(names.index(CLASSES[thing_class(item)].name))
    logits = torch.stack([x["class_logits"] for x in model(inputs)])  # (N, C)
    assert (logits.argmax(1) == torch.tensor(truth)).float().mean() > 0.96


@pytest.mark.parametrize(("split", "least"), [("val", 69), ("synonyms_val", 74)])
def test_san_segments_scenes_by_any_of_their_names(segmenter, split, least):
    label_set = LABEL_SETS[split]
    num_classes = len(label_set.names)
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for index in range(NUM_SCENES):
        scene = plan_item(SPLITS[split], 0, index).scene
        image, elements = render(scene)
        truth = to_labels(scene, elements, label_set)
        result = segmenter(image, list(label_set.names))
        pairs = count_pairs(result.label_map, truth)
        pairs.to_classes(num_classes, IGNORE_LABEL).add_to(matrix)
    assert segmentation_metrics(matrix)[0]["mIoU"] > least
