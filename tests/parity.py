"""Models with the weights, inputs and random draws that the golden files were made with.

See tests/golden/README.md for where those files come from.
"""

from functools import cache
from pathlib import Path

import torch
from detectron2.modeling import build_model
from detectron2.structures import Instances

from san.config import load_config
from san.name_map import to_official
from tests.golden import fill
from tests.golden.golden_io import Golden

FOLDER = Path(__file__).parent / "golden"
CONFIGS = {
    "tiny": "quick/san_tiny.yaml",
    "b16": "san_clip_vit_res4_coco.yaml",
    "l14": "san_clip_vit_large_res4_coco.yaml",
}


@cache
def load_golden(name):
    """Golden values by file name, e.g. "golden_tiny"."""
    return Golden.load(str(FOLDER / name))


def build_filled(name, options=None):
    """The model ``name`` of CONFIGS with the deterministic weights, and its official state dict.

    Args:
        options (dict): config keys and values; "_quick_gelu" False builds CLIP with plain GELU.
    """
    options = dict(options or {})
    quick = options.pop("_quick_gelu", True)
    options["MODEL.SAN.CLIP_ACTIVATION"] = "quick_gelu" if quick else "gelu"
    if name == "tiny":
        options["MODEL.SAN.NUM_CLASSES"] = 16
    options.update({"MODEL.DEVICE": "cpu", "MODEL.SAN.CLIP_PRETRAINED_NAME": ""})
    model = build_model(load_config(CONFIGS[name], [x for pair in options.items() for x in pair]))
    official = to_official(model.state_dict())  # shares its memory with the model
    fill.fill_state_dict(official)
    return model, official


def evaluation_inputs(case, info):
    """Model inputs of an evaluation case, as ``info`` of the golden file describes it."""
    image = info["image"].split("'")[1].removesuffix("/img<i>")  # options share another case's
    return [
        {
            "image": fill.make_image(f"{image}/img{i}", height, width).float(),
            "height": out_height,
            "width": out_width,
            "vocabulary": info["vocab"],
        }
        for i, (height, width, out_height, out_width) in enumerate(info["sizes_h_w_outh_outw"])
    ]


def training_inputs(case, info):
    """Model inputs of a training case: images and targets."""
    inputs = []
    for i, (height, width, classes) in enumerate(info["items_h_w_classes"]):
        instances = Instances((height, width))
        targets = torch.zeros(0, dtype=torch.int64), torch.zeros(0, height, width).bool()
        if classes:
            targets = fill.make_targets(f"{case}/gt{i}", height, width, classes, info["block"])
        instances.gt_classes, instances.gt_masks = targets
        image = fill.make_image(f"{case}/img{i}", height, width)
        inputs.append({"image": image, "instances": instances, **_training_vocabulary(info)})
    return inputs


def _training_vocabulary(info):
    if info["vocab_len"] == len(fill.VOCAB16):
        return {"vocabulary": fill.VOCAB16}
    return {"meta": {"dataset_name": "coco_2017_train_stuff_sem_seg"}}


def use_named_draws(criterion, case, inputs, monkeypatch):
    """Replace the criterion's random numbers by the recorded ones, addressed by name."""
    counts = [len(x["instances"]) for x in inputs]

    def uniform(image, level, kind, shape, generator):
        output = "last" if level == 1 else "aux0"
        if kind == "match":
            return fill.uniform(f"{case}/rand/{output}/match/{image}", (1, *shape))[0]
        name = {"drawn": "over", "rest": "extra"}[kind]
        start = sum(counts[:image])  # the recorded draw is one for the masks of all images
        draw = fill.uniform(f"{case}/rand/{output}/{name}", (sum(counts), *shape[1:]))
        return draw[start : start + counts[image]]

    monkeypatch.setattr(criterion, "uniform", uniform)
