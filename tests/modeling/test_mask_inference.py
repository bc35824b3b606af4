"""The tiled, pruned label map against the plain formula with PyTorch's own resizing."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from san.modeling import mask_inference
from san.modeling.mask_inference import Resize, label_map, semantic_scores

SIZES = [  # grid, padded, image, output
    ((4, 5), (64, 80), (64, 80), (64, 80)),
    ((4, 5), (64, 80), (50, 71), (50, 71)),
    ((6, 4), (96, 64), (90, 41), (201, 77)),
    ((6, 9), (96, 144), (96, 130), (31, 40)),
    ((2, 2), (32, 32), (1, 1), (1, 1)),
]


def plain_masks(mask_logits, resize):
    """Two bilinear resizes with the cut between them, then the sigmoid."""
    x = F.interpolate(mask_logits[None], resize.padded_size, mode="bilinear", align_corners=False)
    x = x[..., : resize.image_size[0], : resize.image_size[1]]
    x = F.interpolate(x, resize.output_size, mode="bilinear", align_corners=False)
    return x[0].sigmoid()


def draw(grid, num_queries=12, num_classes=9):
    mask_logits = torch.randn(num_queries, *grid) * 4
    class_probs = (torch.randn(num_queries, num_classes + 1) * 3).softmax(dim=-1)
    return mask_logits, class_probs


@pytest.mark.parametrize(("grid", "padded", "image", "output"), SIZES)
def test_scores_are_those_of_the_plain_formula(grid, padded, image, output):
    mask_logits, class_probs = draw(grid)
    resize = Resize(padded, image, output)
    expected = torch.einsum("qc,qhw->chw", class_probs, plain_masks(mask_logits, resize))
    scores = semantic_scores(mask_logits, class_probs, resize)
    torch.testing.assert_close(scores, expected, atol=2e-6, rtol=1e-5)
    labels, best = label_map(mask_logits, class_probs, resize)
    expected = expected[:-1]  # without "none of these"
    torch.testing.assert_close(best, expected.amax(dim=0), atol=2e-6, rtol=1e-5)
    margin = expected.topk(2, dim=0).values
    clear = margin[0] - margin[1] > 1e-5
    assert torch.equal(labels[clear].long(), expected.argmax(dim=0)[clear])


def flops_of_label_map(num_classes):
    """Ten proposals, each a clear square with a class that it is sure of -> FLOPs."""
    mask_logits = torch.full((10, 20, 20), -12.0)
    for i, logits in enumerate(mask_logits):
        logits[2 * i : 2 * i + 6, i : i + 9] = 8.0
    class_logits = torch.rand(10, num_classes + 1)
    class_logits[torch.arange(10), torch.arange(10)] = 12.0
    resize = Resize((320, 320), (320, 320), (320, 320))
    with FlopCounterMode(display=False) as counter:
        labels, _ = label_map(mask_logits, class_logits.softmax(dim=-1), resize)
    assert set(range(10)) <= set(labels.unique().tolist())
    return counter.get_total_flops()


def test_classes_that_win_nowhere_cost_little():
    assert flops_of_label_map(10000) < 1.3 * flops_of_label_map(20)


@pytest.mark.parametrize("sharpness", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("num_classes", [1, 3, 40, 700])
def test_leaving_classes_out_changes_nothing(num_classes, sharpness, monkeypatch):
    """From all classes as likely to few, more of them than are tried at once."""
    monkeypatch.setattr(mask_inference, "_AT_ONCE", 16)
    mask_logits = torch.randn(12, 5, 6) * 2 * sharpness
    class_probs = (torch.randn(12, num_classes + 1) * sharpness).softmax(dim=-1)
    resize = Resize((80, 96), (80, 96), (200, 230))
    labels, best = label_map(mask_logits, class_probs, resize)
    scores = semantic_scores(mask_logits, class_probs[:, :-1], resize)
    torch.testing.assert_close(best, scores.amax(dim=0))
    of_labels = scores.gather(0, labels[None].long())[0]
    torch.testing.assert_close(of_labels, scores.amax(dim=0), atol=0, rtol=1e-6)


def test_the_second_choice_of_all_proposals_may_win():
    """Six classes: where two masks meet, what both find likely beats what one finds likelier."""
    mask_logits = torch.tensor([[[9.0, 9.0, -9.0]], [[-9.0, 9.0, 9.0]]])
    class_probs = torch.tensor([[0.5, 0.1, 0.4, 0, 0, 0, 0], [0.1, 0.5, 0.4, 0, 0, 0, 0]])
    labels, scores = label_map(mask_logits, class_probs, Resize((8, 24), (8, 24), (8, 24)))
    assert labels[0, ::11].tolist() == [0, 2, 1]
    assert scores[0, 11] > 0.79


def test_tiles_of_any_size_agree(monkeypatch):
    mask_logits, class_probs = draw((5, 7))
    resize = Resize((80, 112), (75, 100), (75, 100))
    whole = semantic_scores(mask_logits, class_probs, resize)
    for side in (1000, 33, 7):
        monkeypatch.setitem(mask_inference._TILE, "cpu", side)
        torch.testing.assert_close(semantic_scores(mask_logits, class_probs, resize), whole)
        labels, _ = label_map(mask_logits, class_probs, resize)
        assert torch.equal(labels.long(), whole[:-1].argmax(dim=0))


def test_the_masks_of_a_tile_fit_the_cache():
    sides = [mask_inference._tile_side(n, "cpu") for n in (1, 24, 100, 500, 10**6)]
    assert sides == [128, 128, 96, 32, 32]
    assert mask_inference._tile_side(100, "cuda") == 1024


def test_what_is_kept_for_a_size_serves_other_modes():
    """The first call makes the weights of a size; a later one may want gradients."""
    mask_logits, class_probs = draw((3, 9))
    resize = Resize((33, 99), (33, 99), (33, 99))
    with torch.inference_mode():
        expected = semantic_scores(mask_logits, class_probs, resize)
    scores = semantic_scores(mask_logits.clone().requires_grad_(), class_probs, resize)
    scores.sum().backward()
    assert torch.equal(scores.detach(), expected)


def test_equal_scores_go_to_the_first_class():
    mask_logits, class_probs = torch.zeros(3, 2, 2), torch.full((3, 5), 0.2)
    labels, _ = label_map(mask_logits, class_probs, Resize((32, 32), (32, 32), (32, 32)))
    assert (labels == 0).all()


def test_none_where_its_share_reaches_the_threshold():
    mask_logits = torch.tensor([[[9.0, -9.0]], [[-9.0, 9.0]]])  # left and right half
    class_probs = torch.tensor([[0.7, 0.0, 0.3], [0.0, 0.2, 0.8]])  # two classes, none
    resize = Resize((16, 32), (16, 32), (16, 32))
    labels, scores = label_map(mask_logits, class_probs, resize, background_threshold=0.5)
    assert (labels[:, :8] == 0).all()
    assert (labels[:, -8:] == -1).all()
    torch.testing.assert_close(scores[:, 0], torch.full((16,), 0.7), atol=1e-3, rtol=0)


def test_memory_does_not_grow_with_the_classes():
    """64 classes at a time of a tile of 128 x 128 pixels; a score volume would have 3.3 GB here."""
    mask_logits, class_probs = draw((40, 40), num_queries=4, num_classes=2000)
    resize = Resize((640, 640), (640, 640), (640, 640))
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple) else (result,):
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return result

    with Watch():
        label_map(mask_logits, class_probs, resize)
    assert largest <= 64 * 128 * 128
