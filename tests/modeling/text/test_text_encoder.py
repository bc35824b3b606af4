"""The text tower, whole prompts and prompts as a tree."""

import numpy as np
import open_clip
import pytest
import torch

from san.modeling.text.templates import get_templates
from san.modeling.text.text_encoder import TextEncoder, grow_tree

START, END = 97, 98  # of a vocabulary of 99


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    text = open_clip.CLIPTextCfg(context_length=20, vocab_size=99, width=32, heads=2, layers=3)
    vision = open_clip.CLIPVisionCfg(layers=1, width=16, head_width=16, patch_size=8, image_size=16)
    return TextEncoder(open_clip.CLIP(24, vision, text).eval())


def prompts_of(*texts, context=20):
    tokens = torch.zeros(len(texts), context, dtype=torch.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text) + 2] = torch.tensor([START, *text, END])
    return tokens


def test_a_tree_has_each_beginning_once():
    tokens = prompts_of([1, 2], [1, 3], [1, 2], [])
    ids, depth, path, end = grow_tree(tokens)
    # START | 1 END | 2 3 | END END
    assert depth.tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert ids.tolist() == [START, 1, END, 2, 3, END, END]
    for row, ends in zip(tokens, end.tolist(), strict=True):
        way = ids[path[ends]]  # nodes are in the order of their depth
        assert way.tolist() == row[: len(way)].tolist() and way[-1] == END
    assert end[0] == end[2]


@pytest.mark.parametrize("count", [1, 7, 150])
def test_the_tree_gives_what_whole_prompts_give(encoder, count):
    rng = np.random.default_rng(count)
    tokens = prompts_of(*(rng.integers(1, 4, rng.integers(19)).tolist() for _ in range(count)))
    with torch.no_grad():
        torch.testing.assert_close(
            encoder.embed_prompts(tokens), encoder(tokens), atol=1e-5, rtol=1e-4
        )


def test_a_prompt_that_fills_the_context(encoder):
    tokens = prompts_of([5] * 18, [5] * 17 + [6])
    with torch.no_grad():
        torch.testing.assert_close(
            encoder.embed_prompts(tokens), encoder(tokens), atol=1e-5, rtol=1e-4
        )


def test_templates_of_vild_share_more_than_half():
    tokenizer = open_clip.get_tokenizer("ViT-B-16")
    words = ["cat", "dining table", "traffic light", "zebra"]
    tokens = tokenizer([t.format(word) for t in get_templates("vild") for word in words])
    assert len(grow_tree(tokens)[0]) < 0.55 * int((tokens > 0).sum())
