"""Words, images and planted embeddings that are measured with."""

import numpy as np
import pytest
import torch

from san.benchmark.build import build, build_config
from san.benchmark.planted_text import WORDS_PRESENT
from san.benchmark.samples import draw_image, training_inputs
from san.benchmark.settings import Job, expand
from san.benchmark.words import make_words
from san.errors import UserError
from san.modeling.text.vocabulary import normalize_vocabulary
from tests.training import CONFIG


def test_words():
    words = make_words(10_000)
    assert len(normalize_vocabulary(words)) == 10_000  # which refuses repetitions
    assert words[:20] == make_words(20) and words[0] == "aeroplane" and "sky-other" in words
    for count in (0, 10**6):
        with pytest.raises(UserError, match=f"--words {count}: give a number from 1 to "):
            make_words(count)


def test_images_are_the_same_every_time():
    image = draw_image((60, 80))
    assert image.shape == (60, 80, 3) and np.array_equal(image, draw_image((60, 80)))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100


def test_training_inputs():
    first, second = training_inputs((64, 96), 2, make_words(20))
    assert first["image"].shape == (3, 64, 96) and first["image"].dtype == torch.uint8
    masks = first["instances"].gt_masks
    assert masks.shape == (8, 64, 96) and (masks.sum(dim=0) == 1).all()
    assert not torch.equal(first["image"], second["image"])


def test_few_words_fit_what_a_random_model_sees():
    """As with a trained model, some classes are sure, and the others have next to nothing."""
    (setting,) = expand(["inference"], image_size=[(64, 64)], num_words=[1000])
    image = torch.from_numpy(draw_image((64, 64))).permute(2, 0, 1)
    model = build(build_config(Job(CONFIG), setting), image)
    text = model.text_classifier([(word,) for word in make_words(1000)])
    assert text.embeds.shape[0] == 1001 and text.num_classes == 1000
    assert torch.allclose(text.embeds.norm(dim=-1), torch.ones(1001))
    with torch.no_grad():
        images = model.preprocess_image([{"image": image}])
        probs = model.classify(model.propose(images.tensor)[1][-1, 0], text).softmax(dim=-1)
    probs = probs.mean(dim=0)  # (1001,)
    assert probs.topk(WORDS_PRESENT).values.sum() > 0.95
    assert (probs < 1e-4).sum() > 900
