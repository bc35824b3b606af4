"""CLIP as a whole: embeddings, losses, classification, and its weights in SAN."""

import math

import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.modeling import build_model
from torch.nn import functional as F

from san.config import load_config
from san.errors import UserError
from san.modeling.backbone.clip import clip_tokenizer
from san.modeling.mosaic import tile
from san.solver import build_optimizer
from tests.captions import CONFIG

OPTIONS = ["MODEL.DEVICE", "cpu"]
MOSAICS = ["INPUT.CLIP_MOSAIC_SIZES_TRAIN", "[64]"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(load_config(CONFIG, OPTIONS)).eval()


def inputs(count, **others):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)
    return [{"image": image, **others} for image in images]


def captioned(count):
    captions = [f"{i % 3} things " + "and more " * i for i in range(count)]
    tokens = clip_tokenizer("clip_shapescenes")(captions)
    return [{**x, "tokens": tokens[i], "content": i % 3} for i, x in enumerate(inputs(count))]


def test_all_is_trained_from_the_temperature_of_the_paper(model):
    assert all(p.requires_grad for p in model.parameters())
    assert model.clip.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert sum(p.numel() for p in model.parameters()) == 2_920_705


def test_embeddings_are_those_of_open_clip(model):
    captions = ["a red circle", "a much longer caption with quite a few words in it", "sea"]
    with torch.no_grad():
        text = model.clip.encode_text(model.text_classifier.tokenizer(captions), normalize=True)
        torch.testing.assert_close(model.embed_captions(captions), text, atol=1e-6, rtol=1e-5)
        (output,) = model(inputs(1, output="embeddings", captions=captions))
        image = (inputs(1)[0]["image"][None] - model.pixel_mean) / model.pixel_std
        expected = model.clip.encode_image(image, normalize=True)[0]
    torch.testing.assert_close(output["image_embed"], expected)
    torch.testing.assert_close(output["caption_embeds"], text, atol=1e-6, rtol=1e-5)


def test_captions_of_a_batch_find_their_images(model):
    batch = inputs(3, output="embeddings")
    batch[0]["captions"], batch[2]["captions"] = ["sky"], ["sea", "sky"]
    with torch.no_grad():
        first, second, third = model(batch)
    assert "caption_embeds" not in second and third["caption_embeds"].shape == (2, 128)
    torch.testing.assert_close(first["caption_embeds"][0], third["caption_embeds"][1])


def test_class_logits(model):
    """exp(t) times the cosine of image and class; the best synonym counts; a vocabulary each."""
    batch = inputs(2, vocabulary=["sky", "sea|lake"])
    batch[1]["vocabulary"] = ["a"]
    with torch.no_grad():
        first, second = model(batch)
        image = model.embed_images(model.preprocess_image(batch))[0]
        sky, sea, lake = model.text_classifier.embed_words(["sky", "sea", "lake"]) @ image / 0.07
    expected = torch.stack([sky, torch.maximum(sea, lake)])
    torch.testing.assert_close(first["class_logits"], expected)
    assert second["class_logits"].shape == (1,)


def test_class_names_of_a_data_set(model):
    MetadataCatalog.get("three_words").set(thing_classes=["sky", "sea", "sand"])
    with torch.no_grad():
        (named,) = model(inputs(1, meta={"dataset_name": "three_words"}))
        (given,) = model(inputs(1, vocabulary=["sky", "sea", "sand"]))
    MetadataCatalog.remove("three_words")
    assert torch.equal(named["class_logits"], given["class_logits"])


def test_text_is_never_stale(model):
    words = [["sky"]]
    before = model.text_classifier(words).embeds
    with torch.no_grad():
        model.clip.ln_final.bias.add_(1.0)
        after = model.text_classifier(words).embeds
        model.clip.ln_final.bias.sub_(1.0)
    assert not torch.equal(before, after)


def test_text_is_never_stale_after_a_step():
    """Evaluation in the midst of training classifies with the text tower as it is by then."""
    cfg = load_config(CONFIG, OPTIONS)
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    words = ["sky", "sea"]
    embeds = [model.text_classifier.embed_words(words)]
    for _ in range(2):
        losses_and_gradients(model, captioned(6))
        optimizer.step()
        embeds.append(model.text_classifier.embed_words(words))
    assert not torch.equal(embeds[0], embeds[1]) and not torch.equal(embeds[1], embeds[2])


def losses_and_gradients(model, batch):
    model.train().zero_grad()
    losses = model(batch)
    sum(losses.values()).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.eval()
    return losses, gradients


def test_loss_is_of_the_embeddings(model):
    batch = captioned(6)
    losses, gradients = losses_and_gradients(model, batch)
    with torch.no_grad():
        images = model.embed_images(model.preprocess_image(batch))
        texts = model.embed_tokens(torch.stack([x["tokens"] for x in batch]))
    expected = model.criterion(images, texts, torch.tensor(1 / 0.07), [0, 1, 2, 0, 1, 2])
    assert losses.keys() == {"loss_contrastive"}
    torch.testing.assert_close(losses["loss_contrastive"].detach(), expected)
    assert all(gradient.abs().sum() > 0 for gradient in gradients.values())


def test_mixed_precision(model):
    """The loss itself is float32, and near that of full precision."""
    losses, _ = losses_and_gradients(model, captioned(6))
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = losses_and_gradients(model, captioned(6))
    assert mixed["loss_contrastive"].dtype == torch.float32
    torch.testing.assert_close(mixed, losses, atol=0.05, rtol=0)


def windowed(count):
    """Captioned inputs that lie in windows of their own, the first one in the whole grid."""
    starts = torch.linspace(0, 0.4, count)
    windows = torch.stack([starts, starts / 2, 1 - starts], dim=1)
    return [{**x, "position_window": windows[i]} for i, x in enumerate(captioned(count))]


def test_images_lie_in_their_windows(model):
    with torch.no_grad():
        images = model.preprocess_image(windowed(3))
        windows = torch.stack([x["position_window"] for x in windowed(3)])
        ours, plain = model.embed_images(images, windows), model.embed_images(images)
    torch.testing.assert_close(ours[0], plain[0])
    assert (ours[1:] - plain[1:]).abs().amax(1).min() > 1e-4
    losses, _ = losses_and_gradients(model, windowed(3))
    without, _ = losses_and_gradients(model, captioned(3))
    assert losses["loss_contrastive"] != without["loss_contrastive"]


def check_chunks(model, batch, chunk_size, monkeypatch):
    losses, gradients = losses_and_gradients(model, batch)
    monkeypatch.setattr(model, "chunk_size", chunk_size)
    chunked_losses, chunked = losses_and_gradients(model, batch)
    torch.testing.assert_close(chunked_losses, losses)
    for name, gradient in gradients.items():
        torch.testing.assert_close(chunked[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("chunk_size", [1, 4])
def test_chunks_give_the_same_gradients(model, chunk_size, monkeypatch):
    check_chunks(model, windowed(6), chunk_size, monkeypatch)


@pytest.fixture(scope="module")
def mosaic_model():
    torch.manual_seed(0)
    return build_model(load_config(CONFIG, [*OPTIONS, *MOSAICS])).eval()


def in_mosaics(count):
    return [{**x, "mosaic": True} for x in captioned(count)]


def test_loss_is_of_the_tiles(mosaic_model):
    """Each caption is compared with the tile of its image."""
    model, batch = mosaic_model, in_mosaics(8)
    losses, gradients = losses_and_gradients(model, batch)
    with torch.no_grad():
        images = model.preprocess_image(batch)
        for m in range(2):  # image i is in mosaic i % 2
            alone = model.tile_encoder(tile(images[m::2]))[0]  # (T, D)
            torch.testing.assert_close(model.embed_tiles(images)[m::2], alone)
        texts = model.embed_tokens(torch.stack([x["tokens"] for x in batch]))
        contents = [x["content"] for x in batch]
        scale = torch.tensor(1 / 0.07)
        expected = model.criterion(model.embed_tiles(images), texts, scale, contents)
    torch.testing.assert_close(losses["loss_contrastive"].detach(), expected)
    assert all(gradient.abs().sum() > 0 for gradient in gradients.values())


def test_mosaics_add_no_weights(model, mosaic_model):
    assert mosaic_model.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("chunk_size", [1, 8])
def test_chunks_of_mosaics_give_the_same_gradients(mosaic_model, chunk_size, monkeypatch):
    check_chunks(mosaic_model, in_mosaics(12), chunk_size, monkeypatch)


def test_mosaics_need_deep_blocks():
    options = [*OPTIONS, *MOSAICS, "MODEL.SAN.FEATURE_LAST_LAYER_IDX", "4"]
    with pytest.raises(UserError, match=r"LAST_LAYER_IDX is 4; .* has 4 blocks, so it can be 1 to"):
        build_model(load_config(CONFIG, options))


@pytest.mark.parametrize(("value", "expected"), [(9.0, math.log(100)), (-1.0, 0.0), (2.0, 2.0)])
def test_temperature_is_bounded(model, value, expected):
    with torch.no_grad():
        before = model.clip.logit_scale.clone()
        model.clip.logit_scale.fill_(value)
        model.clamp_logit_scale()
        assert model.clip.logit_scale.item() == pytest.approx(expected)
        model.clip.logit_scale.copy_(before)


def test_exported_weights_are_the_clip_of_a_san(model, tmp_path):
    """Features of SAN's CLIP at its native size, and its words, are those of the exported CLIP."""
    path = tmp_path / "clip.safetensors"
    model.export(path)
    options = ["MODEL.SAN.CLIP_MODEL_NAME", "clip_shapescenes", "INPUT.FORMAT", "RGB"]
    options += ["MODEL.SAN.CLIP_PRETRAINED_NAME", str(path), "MODEL.DEVICE", "cpu"]
    san = build_model(load_config("quick/san_tiny.yaml", options)).eval()
    assert san.clip_activation == model.clip_activation == "gelu"
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        x = san.clip(image).tokens
        for block in san.mask_recognition.blocks:
            x = block(x)
        ours = san.mask_recognition.ln_post(x[:, 0]) @ san.mask_recognition.proj
        torch.testing.assert_close(F.normalize(ours, dim=-1), model.embed_images(image))
    words = ["red circle", "grass"]
    ours, theirs = (m.text_classifier.embed_words(words) for m in (san, model))
    assert ours.shape == theirs.shape == (2, 128)
    ours = F.normalize(san.text_classifier.text_encoder(model.text_classifier.tokenizer(words)))
    torch.testing.assert_close(ours, model.embed_captions(words))


def test_exported_weights_tell_their_activation(model, tmp_path, monkeypatch):
    """Unlike other files of weights: QuickGELU, where the model config would have GELU."""
    monkeypatch.setattr(model, "clip_activation", "quick_gelu")
    model.export(tmp_path / "clip.safetensors")
    path = str(tmp_path / "clip.safetensors")
    options = [*OPTIONS, "MODEL.SAN.CLIP_PRETRAINED_NAME", path]
    assert build_model(load_config(CONFIG, options)).clip_activation == "quick_gelu"
    with pytest.raises(UserError, match=r"CLIP_ACTIVATION is 'gelu'.*trained with 'quick_gelu'"):
        build_model(load_config(CONFIG, [*options, "MODEL.SAN.CLIP_ACTIVATION", "gelu"]))


@pytest.mark.parametrize(("batch", "message"), [
    ([{"image": torch.zeros(3, 48, 40)}], r"shape \(3, 48, 40\).*takes \(3, 64, 64\): resize it"),
    (inputs(1, output="sem_seg"), "asks for output 'sem_seg'; there are .*'class_logits'"),
    (inputs(1), r"needs 'vocabulary' or meta\['dataset_name'\]"),
])  # fmt: skip
def test_bad_inputs_are_named(model, batch, message):
    with pytest.raises(UserError, match=message), torch.no_grad():
        model(batch)


def test_bad_chunk_size_is_named():
    with pytest.raises(UserError, match=r"MODEL\.CLIP\.CHUNK_SIZE is -1; it is a number of pairs"):
        build_model(load_config(CONFIG, [*OPTIONS, "MODEL.CLIP.CHUNK_SIZE", "-1"]))
