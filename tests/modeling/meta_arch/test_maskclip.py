"""MaskCLIP's refinements, against the paper's formulas written out, and on a model."""

import pytest
import torch
from torch.nn import functional as F

from san.errors import UserError
from san.modeling.meta_arch.maskclip import denoise_prompts, smooth_by_keys
from tests.modeling.meta_arch.test_dense_clip import WORDS, build, image


def test_words_that_are_nowhere_are_left_out():
    """Word 0 is sure in one window, word 1 in the other, word 2 is never more than half sure."""
    cosines = torch.tensor([[[0.3, 0.1, 0.2], [0.3, 0.2, 0.2]], [[0.1, 0.3, 0.2], [0.1, 0.2, 0.2]]])
    denoised = denoise_prompts(cosines, 0.6)
    assert (denoised[..., 2] == -1).all()
    assert torch.equal(denoised[..., :2], cosines[..., :2])


def test_the_best_word_always_stays():
    cosines = torch.tensor([[[0.2, 0.2, 0.201]]])
    assert denoise_prompts(cosines, 1.0).tolist() == [[[-1, -1, pytest.approx(0.201)]]]


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_unsure_patches_take_the_shares_of_like_ones(threshold):
    """sum_j cos(key_i, key_j) P_j, window by window, where the best of P_i is too low."""
    cosines, keys = torch.randn(2, 5, 4) * 0.01, torch.randn(2, 5, 8)
    smooth = smooth_by_keys(cosines, keys, threshold)
    replaced = 0
    for n in range(2):
        shares = (100 * cosines[n]).softmax(dim=-1)
        for i in range(5):
            expected = shares[i]
            if shares[i].max() < threshold:
                likeness = [F.cosine_similarity(keys[n, i], keys[n, j], dim=0) for j in range(5)]
                expected = sum(w * s for w, s in zip(likeness, shares, strict=True))
                replaced += 1
            torch.testing.assert_close(smooth[n, i], expected, atol=1e-5, rtol=1e-4)
    assert replaced == 10 if threshold == 1 else 0 < replaced < 10


@torch.no_grad()
def test_refinements_of_a_model():
    """Both act before the windows are averaged, and on the words of all windows."""
    x = {"image": image(100, 70), "vocabulary": WORDS}
    plain, refined = build("maskclip"), build("maskclip")
    assert plain.prompt_denoising == plain.key_smoothing == 0
    expected = plain([x])[0]["sem_seg"]
    torch.testing.assert_close(refined([x])[0]["sem_seg"], expected)
    refined.prompt_denoising = 1.0  # all words but the best one
    labels = refined([{**x, "output": "label_map"}])[0]["label_map"]
    assert len(labels.unique()) == 1 and len(expected.argmax(dim=0).unique()) > 1
    refined.prompt_denoising, refined.key_smoothing = 0.0, 1.0
    smooth = refined([x])[0]["sem_seg"].argmax(dim=0)
    assert 0 < (smooth != expected.argmax(dim=0)).float().mean() < 0.9


@pytest.mark.parametrize("key", ["PROMPT_DENOISING", "KEY_SMOOTHING"])
def test_bad_values_are_named(key):
    with pytest.raises(UserError, match=rf"MODEL\.MASKCLIP\.{key} is 1\.5; it is a share from 0"):
        build("maskclip", f"MODEL.MASKCLIP.{key}", 1.5)
