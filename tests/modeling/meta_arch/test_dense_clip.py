"""Dense CLIP, MaskCLIP and SCLIP as Detectron2 models, and against loops written out."""

import math

import pytest
import torch
from detectron2.modeling import build_model
from torch.nn import functional as F

from san.config import load_config
from san.errors import UserError
from san.protocol import Protocol

METHODS = ("dense_clip", "maskclip", "sclip")
WORDS = ["grass|lawn|meadow", "cat|kitten", "dog", "dining table", "sky"]
TINY = (
    *("MODEL.DEVICE", "cpu", "MODEL.SAN.CLIP_MODEL_NAME", "clip_tiny"),
    *("MODEL.SAN.CLIP_PRETRAINED_NAME", "", "MODEL.DENSE_CLIP.WINDOW", "64"),
    *("MODEL.DENSE_CLIP.STRIDE", "32", "MODEL.DENSE_CLIP.WINDOWS_PER_BATCH", "3"),
    *("MODEL.SAN.CLIP_TEMPLATE_SET", "photo"),
)


def build(method, *options):
    """A tiny model whose weights are noisy enough for patches, and words, to differ."""
    torch.manual_seed(0)
    options = [*TINY, *map(str, options)]
    model = build_model(load_config(f"{method}/{method}_vit_b_16.yaml", options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.fixture(scope="module", params=METHODS)
def method(request):
    return request.param


@pytest.fixture(scope="module")
def model(method):
    return build(method)


def image(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def protocol(**fields):
    fields = {"window": 64, "stride": 32, **fields}
    return Protocol(name="test", dataset="test", min_size=1, max_size=1, **fields)


def loop_attention(method, q, k, v):
    """Attention of one head, token by token: q, k, v (N, d) -> (N, d)."""
    out = torch.zeros_like(v)
    for i in range(len(q)):
        if method == "maskclip":
            out[i] = v[i]
            continue
        pairs = [(q, k)] if method == "dense_clip" else [(q, q), (k, k)]
        for x, y in pairs:
            weights = torch.stack([x[i] @ y[j] for j in range(len(q))]) / math.sqrt(q.shape[1])
            out[i] += weights.softmax(dim=0) @ v
    return out


def loop_patch_embeds(model, method, window):
    """Unit embeddings (hw, D) of the patches of one window (3, 64, 64), the native size."""
    clip = model.clip
    patches = clip.conv1(window[None])[0].flatten(1).T  # (hw, E)
    x = torch.cat([clip.class_embedding[None], patches]) + clip.positional_embedding
    x = clip.ln_pre(x)
    for block in clip.blocks[:-1]:
        x = block(x[None])[0]
    last = clip.blocks[-1]
    y = last.ln_1(x)
    weight, bias = last.attn.in_proj_weight, last.attn.in_proj_bias
    q, k, v = (y @ w.T + b for w, b in zip(weight.chunk(3), bias.chunk(3), strict=True))
    heads = [
        loop_attention(method, *(t[:, 16 * h : 16 * (h + 1)] for t in (q, k, v))) for h in range(4)
    ]
    x = x + last.attn.out_proj(torch.cat(heads, dim=1))
    x = x + last.mlp(last.ln_2(x))
    x = clip.ln_post(x) @ clip.proj
    return F.normalize(x[1:], dim=-1)


def loop_scores(model, method, pixels, output_size, settings):
    """Scores (5, height, width) by the description of SCLIP's evaluation, one step at a time."""
    classes = [word.split("|") for word in WORDS]
    words = [word for synonyms in classes for word in synonyms]
    embeds = model.text_classifier.embed_words(words)
    normalized = (pixels.float() - model.pixel_mean) / model.pixel_std
    height, width = pixels.shape[1:]
    total, count = torch.zeros(len(words), height, width), torch.zeros(height, width)
    for i in range(max(math.ceil((height - 64) / 32), 0) + 1):
        for j in range(max(math.ceil((width - 64) / 32), 0) + 1):
            top, left = min(32 * i, height - 64), min(32 * j, width - 64)
            window = normalized[:, top : top + 64, left : left + 64]
            cosines = loop_patch_embeds(model, method, window) @ embeds.T  # (16, words)
            maps = cosines.T.view(1, -1, 4, 4)
            maps = F.interpolate(maps, (64, 64), mode="bilinear", align_corners=False)[0]
            total[:, top : top + 64, left : left + 64] += maps
            count[top : top + 64, left : left + 64] += 1
    maps = F.interpolate((total / count)[None], output_size, mode="bilinear")[0]
    shares = (settings.logit_scale * maps).softmax(dim=0)
    groups = shares.split([len(synonyms) for synonyms in classes])
    scores = torch.stack([group.amax(dim=0) for group in groups])
    labels = scores.argmax(dim=0)
    foreground = (labels > 0).sum()
    for c in range(1, 5):
        if settings.area_threshold and (labels == c).sum() <= settings.area_threshold * foreground:
            scores[c] = 0
    labels = scores.argmax(dim=0)
    labels[scores.amax(dim=0) < settings.score_threshold] = 0
    return scores, labels


@torch.no_grad()
@pytest.mark.parametrize("fields", [
    {"logit_scale": 40.0},
    {"logit_scale": 200.0, "score_threshold": 0.3, "area_threshold": 0.25},
])  # fmt: skip
def test_is_what_loops_compute(model, method, fields):
    settings = protocol(**fields)
    x = {"image": image(70, 101), "height": 84, "width": 93, "vocabulary": WORDS}
    x["protocol"] = settings
    scores, labels = loop_scores(model, method, x["image"], (84, 93), settings)
    output = model([{**x, "output": "label_map"}])[0]
    sure = scores.topk(2, dim=0).values.diff(dim=0)[0].abs() > 1e-4
    assert torch.equal(output["label_map"][sure].long(), labels[sure]) and sure.float().mean() > 0.9
    assert len(labels.unique()) > 2
    if not settings.score_threshold:
        torch.testing.assert_close(model([x])[0]["sem_seg"], scores, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_label_map_is_the_best_of_the_scores(model):
    x = {"image": image(100, 81), "vocabulary": WORDS}
    x["protocol"] = protocol(logit_scale=200.0, score_threshold=0.3, area_threshold=0.25)
    scores = model([x])[0]["sem_seg"]
    output = model([{**x, "output": "label_map"}])[0]
    assert scores.shape == (5, 100, 81) and scores.dtype == torch.float32
    assert torch.equal(output["label_map"].long(), scores.argmax(dim=0))
    torch.testing.assert_close(output["scores"], scores.amax(dim=0), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_batch_and_single_image_agree(model):
    """Each image has its own size, vocabulary, output and protocol."""
    inputs = [
        {"image": image(64, 64), "vocabulary": WORDS},
        {"image": image(100, 70, 1), "vocabulary": ["sea", "boat"], "height": 30, "width": 50},
        {"image": image(90, 90, 2), "vocabulary": WORDS, "output": "label_map"},
        {"image": image(90, 90, 3), "vocabulary": WORDS, "protocol": protocol(window=None)},
    ]
    together = model(inputs)
    assert together[1]["sem_seg"].shape == (2, 30, 50)
    for alone, output in zip(inputs, together, strict=True):
        torch.testing.assert_close(model([alone])[0], output, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_windows_per_batch_do_not_matter(model, monkeypatch):
    x = {"image": image(100, 130), "vocabulary": WORDS}
    expected = model([x])[0]["sem_seg"]
    monkeypatch.setattr(model, "windows_per_batch", 64)
    torch.testing.assert_close(model([x])[0]["sem_seg"], expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (33, 32), (300, 40)])
@pytest.mark.parametrize("window", [64, None])
def test_any_size_works(model, size, window):
    x = {"image": image(*size), "vocabulary": WORDS, "output": "label_map"}
    x["protocol"] = protocol(window=window, stride=window and 32)
    labels = model([x])[0]["label_map"]
    assert labels.shape == size and labels.dtype == torch.int32
    assert 0 <= labels.min() <= labels.max() < len(WORDS)


@torch.no_grad()
def test_names_of_a_data_set(model):
    x = {"image": image(64, 64), "meta": {"dataset_name": "ade20k_full_sem_seg_val"}}
    assert model([{**x, "height": 8, "width": 8}])[0]["sem_seg"].shape == (847, 8, 8)


@torch.no_grad()
def test_none_of_these_by_threshold(model):
    x = {"image": image(96, 96), "vocabulary": WORDS, "output": "label_map"}
    plain = model([x])[0]["label_map"]
    assert (model([{**x, "background_threshold": 0.0}])[0]["label_map"] == -1).all()
    assert torch.equal(model([{**x, "background_threshold": 1.01}])[0]["label_map"], plain)


@torch.no_grad()
def test_pamr_refines_before_the_softmax(model, monkeypatch):
    x = {"image": image(80, 100), "vocabulary": WORDS, "height": 60, "width": 75}
    plain = model([x])[0]["sem_seg"]
    monkeypatch.setattr(model, "refinement", model.refinement._replace(steps=2))
    refined = model([x])[0]["sem_seg"]
    labels = model([{**x, "output": "label_map"}])[0]["label_map"]
    assert torch.equal(labels.long(), refined.argmax(dim=0))
    assert not torch.allclose(refined, plain)
    torch.testing.assert_close(refined.mean(dim=(1, 2)), plain.mean(dim=(1, 2)), atol=0.02, rtol=0)


@torch.no_grad()
def test_autocast_agrees_with_float32(model):
    x = {"image": image(100, 100), "vocabulary": WORDS, "output": "label_map"}
    exact = model([x])[0]["label_map"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model([x])[0]
    assert low["scores"].dtype == torch.float32
    assert (low["label_map"] == exact).float().mean() > 0.97


def test_the_methods_differ_and_nothing_is_trained():
    models = [build(method) for method in METHODS]
    assert not any(p.requires_grad for m in models for p in m.parameters())
    x = {"image": image(64, 64), "vocabulary": WORDS}
    with torch.no_grad():
        scores = [m([x])[0]["sem_seg"] for m in models]
    state = models[0].state_dict()
    for other in models[1:]:
        assert other.state_dict().keys() == state.keys()
    for i in range(3):
        assert not torch.allclose(scores[i], scores[i - 1], atol=1e-3)


def test_clip_s_own_scale():
    x = {"image": image(64, 64), "vocabulary": WORDS}
    with torch.no_grad():
        own = build("sclip", "MODEL.DENSE_CLIP.LOGIT_SCALE", 0.0)
        scale = float(own.text_classifier.logit_scale.exp())
        named = build("sclip", "MODEL.DENSE_CLIP.LOGIT_SCALE", scale)
        torch.testing.assert_close(own([x])[0], named([x])[0], atol=1e-5, rtol=1e-4)


def test_another_clip_is_taken():
    """Of another patch size, width and number of heads; its patches fill no whole window."""
    own = build("sclip", "MODEL.SAN.CLIP_MODEL_NAME", "clip_shapescenes")
    assert own.clip.patch_size == (8, 8) and own.clip.width == 96
    x = {"image": image(50, 131), "vocabulary": WORDS, "output": "label_map"}
    with torch.no_grad():
        assert own([x])[0]["label_map"].shape == (50, 131)


@pytest.mark.parametrize(("options", "message"), [
    (["WINDOW", -1], r"DENSE_CLIP\.WINDOW is -1; it is a side in pixels, or 0 for the whole"),
    (["STRIDE", 0], r"DENSE_CLIP\.STRIDE is 0; it is a step in pixels, from 1 to .*WINDOW 64"),
    (["STRIDE", 65], r"DENSE_CLIP\.STRIDE is 65; .* to see every pixel"),
    (["WINDOWS_PER_BATCH", 0], r"WINDOWS_PER_BATCH is 0; it is a number of windows from 1"),
    (["LOGIT_SCALE", -4.0], r"LOGIT_SCALE is -4\.0; it is a factor, or 0 for CLIP's own"),
    (["SCORE_THRESHOLD", 1.5], r"SCORE_THRESHOLD is 1\.5; it is a share from 0 to 1"),
    (["AREA_THRESHOLD", -0.1], r"AREA_THRESHOLD is -0\.1; it is a share from 0 to 1"),
    (["PAMR_STEPS", -1], r"PAMR_STEPS is -1; it is a number of steps, or 0 for none"),
    (["PAMR_DILATIONS", [0]], r"PAMR_DILATIONS is \(0,\); it is a list of distances in pixels"),
    (["PAMR_DILATIONS", []], r"PAMR_DILATIONS is \(\); it is a list of distances in pixels"),
])  # fmt: skip
def test_bad_values_are_named(options, message):
    with pytest.raises(UserError, match=message):
        build("dense_clip", f"MODEL.DENSE_CLIP.{options[0]}", options[1])


def test_other_clips_are_refused():
    with pytest.raises(UserError, match="CLIP_MODEL_NAME: 'RN50' is not a CLIP of two plain"):
        build("sclip", "MODEL.SAN.CLIP_MODEL_NAME", "RN50")


def test_an_unknown_output_is_named(model):
    with pytest.raises(UserError, match="asks for output 'masks'"), torch.no_grad():
        model([{"image": image(8, 8), "vocabulary": WORDS, "output": "masks"}])
