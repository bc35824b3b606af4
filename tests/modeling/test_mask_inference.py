"""The tiled, pruned label map against the plain formula with PyTorch's own resizing."""

import pytest
import torch
from torch.nn import functional as F

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


def test_classes_that_cannot_win_are_left_out_and_nothing_changes(monkeypatch):
    """Most of 500 classes are out of the question in a tile."""
    mask_logits, class_probs = draw((4, 4), num_classes=500)
    resize = Resize((64, 64), (64, 64), (64, 64))
    sizes = []
    best_class = mask_inference._best_class

    def count(probs, masks):
        upper, lower = masks.amax(1) @ probs, masks.amin(1) @ probs
        sizes.append(int((upper >= lower.max()).sum()))
        return best_class(probs, masks)

    monkeypatch.setattr(mask_inference, "_best_class", count)
    monkeypatch.setitem(mask_inference._TILE, "cpu", 16)
    labels, _ = label_map(mask_logits, class_probs, resize)
    scores = semantic_scores(mask_logits, class_probs[:, :-1], resize)
    assert len(sizes) == 16 and max(sizes) < 500
    assert torch.equal(labels.long(), scores.argmax(dim=0))


def test_tiles_of_any_size_agree(monkeypatch):
    mask_logits, class_probs = draw((5, 7))
    resize = Resize((80, 112), (75, 100), (75, 100))
    whole = semantic_scores(mask_logits, class_probs, resize)
    for side in (1000, 33, 7):
        monkeypatch.setitem(mask_inference._TILE, "cpu", side)
        torch.testing.assert_close(semantic_scores(mask_logits, class_probs, resize), whole)
        labels, _ = label_map(mask_logits, class_probs, resize)
        assert torch.equal(labels.long(), whole[:-1].argmax(dim=0))


def test_scores_held_at_once_are_limited(monkeypatch):
    """Where the classes that may win have too many scores, a tile is read in parts."""
    mask_logits, class_probs = draw((5, 7), num_classes=40)
    resize = Resize((80, 112), (75, 100), (75, 100))
    expected = label_map(mask_logits, class_probs, resize)
    monkeypatch.setitem(mask_inference._TILE, "cpu", 1024)
    monkeypatch.setattr(mask_inference, "_SCORES", 1000)  # 25 pixels at 40 classes
    labels, scores = label_map(mask_logits, class_probs, resize)
    assert torch.equal(labels, expected[0])
    torch.testing.assert_close(scores, expected[1])


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
    """The largest tensor of a tile has 64 x 64 pixels; a score volume would have 3.3 GB here."""
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
    assert largest <= 2000 * 64 * 64
