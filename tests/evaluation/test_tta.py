"""Test-time augmentation on models whose answer is known."""

import pytest
import torch
from detectron2.modeling import DatasetMapperTTA
from torch import nn
from torch.nn import functional as F

from san.evaluation import SegmentorWithTTA


class Brightness(nn.Module):
    """Scores (3, height, width): the colors of the image, resized to the output size."""

    def forward(self, batched_inputs):
        self.seen = [(tuple(r["image"].shape[1:]), r["output"]) for r in batched_inputs]
        return [
            {"sem_seg": F.interpolate(r["image"][None].float(), (r["height"], r["width"]))[0]}
            for r in batched_inputs
        ]


class CornerMarker(nn.Module):
    """Scores that are 1 in the left-most column, whatever the image."""

    def forward(self, batched_inputs):
        scores = [torch.zeros(1, r["height"], r["width"]) for r in batched_inputs]
        for score in scores:
            score[:, :, 0] = 1
        return [{"sem_seg": score} for score in scores]


@pytest.fixture
def record():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 32, 48), dtype=torch.uint8, generator=generator)
    return {"image": image, "height": 64, "width": 96, "output": "label_map", "file_name": "a.jpg"}


def test_one_scale_equals_plain(record):
    model = Brightness()
    plain = model([record])[0]["sem_seg"]
    with_tta = SegmentorWithTTA(model, DatasetMapperTTA([32], 512, flip=False))
    assert torch.equal(with_tta([record])[0]["sem_seg"], plain)
    assert record["output"] == "label_map"


def test_mean_over_scales(record):
    model = Brightness()
    augment = DatasetMapperTTA([16, 32, 64], 512, flip=False)
    expected = [model([variant])[0]["sem_seg"] for variant in augment(record)]
    actual = SegmentorWithTTA(model, augment)([record])[0]["sem_seg"]
    torch.testing.assert_close(actual, torch.stack(expected).mean(0))
    assert model.seen == [((64, 96), "sem_seg")]


def test_mirror_images_are_flipped_back(record):
    """A left edge and a mirrored right edge average to one half on both."""
    tta = SegmentorWithTTA(CornerMarker(), DatasetMapperTTA([32], 512, flip=True))
    scores = tta([record])[0]["sem_seg"]  # (1, 64, 96)
    assert scores[:, :, 0].eq(0.5).all() and scores[:, :, -1].eq(0.5).all()
    assert scores[:, :, 1:-1].eq(0).all()


def test_mirrored_image_gives_plain_result(record):
    """For a model that commutes with mirroring, mirror images change nothing."""
    model = Brightness()
    tta = SegmentorWithTTA(model, DatasetMapperTTA([32], 512, flip=True))
    assert torch.equal(tta([record])[0]["sem_seg"], model([record])[0]["sem_seg"])
