"""Batches that leave a data loader's worker as one tensor."""

import pickle

import pytest
import torch
from detectron2.structures import Instances

from san.data.packed_batch import pack, unpack
from san.errors import UserError


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(7, dtype=torch.uint8),
        torch.tensor([[True, False, True]]),
        torch.tensor(3.5, dtype=torch.float64),
        torch.arange(12).view(3, 4).t(),  # not contiguous
        torch.empty(0, 5, dtype=torch.int64),
        torch.ones(3, dtype=torch.bfloat16),
    ],
    ids=["uint8", "bool", "scalar", "transposed", "empty", "bfloat16"],
)
def test_a_tensor_comes_back(tensor):
    head, back = unpack(pack([torch.zeros(3, dtype=torch.uint8), tensor]))  # not at offset 0
    assert head.tolist() == [0, 0, 0]
    assert back.dtype == tensor.dtype and torch.equal(back, tensor)


def test_tensors_at_any_depth_travel_as_one():
    instances = Instances((2, 3))
    instances.gt_classes = torch.tensor([4, 9])
    instances.gt_masks = torch.eye(2, 3)[:, None].expand(2, 2, 3) > 0
    batch = [{"image": torch.full((3, 2, 3), 7, dtype=torch.uint8), "instances": instances}]
    packed = pack(batch)
    assert b"torch" not in packed.structure.replace(b"detectron2", b"")
    (item,) = unpack(pickle.loads(pickle.dumps(packed)))
    assert torch.equal(item["image"], batch[0]["image"])
    assert item["instances"].image_size == (2, 3)
    assert torch.equal(item["instances"].gt_classes, instances.gt_classes)
    assert torch.equal(item["instances"].gt_masks, instances.gt_masks)


def test_what_is_no_tensor_comes_back():
    text, error = unpack(pack(["caption", UserError("a.jpg: broken")]))
    assert text == "caption" and isinstance(error, UserError) and str(error) == "a.jpg: broken"
