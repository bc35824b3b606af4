"""SAN as a Detectron2 model: inputs, outputs, precision, options, and what is trained."""

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Instances

from san.config import load_config
from san.errors import UserError
from tests.parity import build_filled
from tests.saved_tensors import saved_bytes

WORDS = ["cat", "dog", "grass", "sky", "dining table"]


def image(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def training_input(seed=0, size=(64, 96), classes=(1, 3), **extra):
    instances = Instances(size)
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    labels = torch.arange(size[0] * size[1]).view(size) * len(classes) // (size[0] * size[1])
    instances.gt_masks = labels == torch.arange(len(classes)).view(-1, 1, 1)
    return {"image": image(*size, seed), "instances": instances, "vocabulary": WORDS, **extra}


@pytest.fixture(scope="module")
def model():
    return build_filled("tiny")[0].eval()


@pytest.fixture
def trained():
    model, _ = build_filled("tiny")
    model.criterion.__init__(num_classes=len(WORDS), weights=model.criterion.weights, num_points=64)
    return model.train()


@torch.no_grad()
def test_each_image_has_its_own_vocabulary_and_size(model):
    inputs = [
        {"image": image(96, 64), "vocabulary": WORDS},
        {"image": image(96, 64, 1), "vocabulary": ["sea", "boat"], "height": 30, "width": 50},
    ]
    both = model(inputs)
    assert both[0]["sem_seg"].shape == (5, 96, 64)
    assert both[1]["sem_seg"].shape == (2, 30, 50)
    for alone, together in zip(inputs, both, strict=True):
        torch.testing.assert_close(model([alone])[0], together, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_order_of_the_words_is_kept(model):
    x = {"image": image(64, 64)}
    scores = model([{**x, "vocabulary": WORDS}])[0]["sem_seg"]
    reverse = model([{**x, "vocabulary": WORDS[::-1]}])[0]["sem_seg"]
    torch.testing.assert_close(scores, reverse.flip(0))


@torch.no_grad()
def test_a_synonym_counts_as_its_class(model):
    """The best synonym counts, so a class is at least as likely with one more."""
    x = {"image": image(64, 64)}
    images = model.preprocess_image([x])
    _, mask_embeds = model.propose(images.tensor)

    def logits(words):
        return model.classify(mask_embeds[-1], model.embed_text([{"vocabulary": words}])[0])

    single, both = logits(["cat", "dog", "kitten"]), logits(["cat|kitten", "dog"])
    assert both.shape[-1] == 3
    torch.testing.assert_close(both[..., 0], torch.maximum(single[..., 0], single[..., 2]))
    torch.testing.assert_close(both[..., 1:], single[..., [1, 3]])


@torch.no_grad()
def test_names_of_a_data_set_are_whole_phrases(model):
    x = {"image": image(64, 64), "meta": {"dataset_name": "ade20k_full_sem_seg_val"}}
    assert model([x])[0]["sem_seg"].shape[0] == 847


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (33, 32), (700, 40)])
def test_any_size_works(size, model):
    x = {"image": image(*size), "vocabulary": WORDS, "output": "label_map"}
    labels = model([x])[0]["label_map"]
    assert labels.shape == size
    assert labels.dtype == torch.int32
    assert 0 <= labels.min() <= labels.max() < len(WORDS)


@torch.no_grad()
def test_none_of_these_by_threshold(model):
    x = {"image": image(96, 96), "vocabulary": WORDS, "output": "label_map"}
    plain = model([x])[0]["label_map"]
    assert (model([{**x, "background_threshold": 0.0}])[0]["label_map"] == -1).all()
    assert torch.equal(model([{**x, "background_threshold": 1.01}])[0]["label_map"], plain)


@torch.no_grad()
def test_scores_resized_after_inference_give_the_same_kind_of_output():
    model, _ = build_filled("tiny", {"MODEL.SAN.SEM_SEG_POSTPROCESS_BEFORE_INFERENCE": False})
    x = {"image": image(60, 90), "height": 120, "width": 180, "vocabulary": WORDS}
    model.eval()
    scores = model([x])[0]["sem_seg"]
    labels = model([{**x, "output": "label_map"}])[0]
    assert torch.equal(scores.argmax(0), labels["label_map"].long())
    none = model([{**x, "output": "label_map", "background_threshold": 0.0}])[0]["label_map"]
    assert (none == -1).all()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_agrees_with_float32(dtype, model):
    """Class probabilities of CLIP's sharp logits (scale 100) move, masks and labels hardly."""
    x = {"image": image(128, 160), "vocabulary": WORDS, "output": "label_map"}
    exact = model([x])[0]["label_map"]
    with torch.autocast("cpu", dtype=dtype):
        low = model([x])[0]
    assert low["scores"].dtype == torch.float32
    assert (low["label_map"] == exact).float().mean() > 0.9


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_under_autocast(dtype, trained):
    inputs = [training_input(0), training_input(1)]
    exact = {k: v.item() for k, v in trained(_seeded(inputs)).items()}
    with torch.autocast("cpu", dtype=dtype):
        losses = trained(_seeded(inputs))
    sum(losses.values()).backward()
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name], rel=0.15), name


def _seeded(inputs):
    return [{**x, "seed": i} for i, x in enumerate(inputs)]


def test_losses_of_an_image_do_not_depend_on_its_batch(trained):
    """With a seed for each image, so that processes may share a batch in any way."""
    inputs = _seeded([training_input(0), training_input(1, classes=(0, 2))])
    both = trained(inputs)
    apart = [trained([x]) for x in inputs]
    for name in ("loss_mask", "loss_dice"):
        mean = (apart[0][name] + apart[1][name]) / 2
        assert both[name].item() == pytest.approx(mean.item(), rel=1e-5)


def test_an_image_without_targets_has_a_class_loss_alone(trained):
    losses = trained([training_input(classes=())])
    assert losses["loss_mask"].item() == losses["loss_dice"].item() == 0
    assert losses["loss_ce"].item() > 0
    sum(losses.values()).backward()  # gradients everywhere, or processes would wait for each other
    assert all(p.grad is not None for p in trained.parameters() if p.requires_grad)


def test_wrong_number_of_training_classes_is_named(model):
    model, _ = build_filled("tiny")
    with pytest.raises(UserError, match=r"NUM_CLASSES is 16, but the training.*has 5 classes"):
        model.train()([training_input()])


def test_an_input_without_words_is_named(model):
    with pytest.raises(UserError, match=r"needs 'vocabulary' or meta\['dataset_name'\]"):
        model([{"image": image(32, 32)}])
    with pytest.raises(UserError, match="asks for output 'masks'"):
        model([{"image": image(32, 32), "vocabulary": WORDS, "output": "masks"}])


def test_frozen_parts_stay_and_trained_parts_move(trained):
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in trained.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        sum(trained([training_input()]).values()).backward()
        optimizer.step()
    moved = {k for k, v in trained.state_dict().items() if not torch.equal(v, before[k])}
    expected = {k for k, p in trained.named_parameters() if p.requires_grad}
    assert moved == expected
    parts = {k.split(".")[0] for k in expected}
    assert parts == {"side_adapter", "mask_decoder", "clip", "text_classifier"}
    assert {k for k in expected if k.startswith(("clip", "text"))} == {
        "clip.positional_embedding",
        "text_classifier.no_object_embed",
    }


@pytest.mark.parametrize(
    ("config", "millions"),
    [("san_clip_vit_res4_coco.yaml", 8.370866), ("san_clip_vit_large_res4_coco.yaml", 9.321650)],
)
def test_number_of_trained_parameters(config, millions):
    """8.37 M and 9.32 M in the logs of the released weights."""
    cfg = load_config(config, ["MODEL.SAN.CLIP_PRETRAINED_NAME", "", "MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        model = build_model(cfg)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert count == round(millions * 1e6)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SAN.SOS_TOKEN_FORMAT", "'x'", "SOS_TOKEN_FORMAT is 'x'; it can be 'cls_token' or"),
        ("SAN.REC_DOWNSAMPLE_METHOD", "'mean'", "REC_DOWNSAMPLE_METHOD is 'mean'; it can be 'max'"),
        ("SAN.FEATURE_LAST_LAYER_IDX", 4, "clip_tiny has 4 blocks, so it can be 1 to 3"),
        ("SAN.FEATURE_LAST_LAYER_IDX", -1, "FEATURE_LAST_LAYER_IDX is -1"),
        ("SAN.CLIP_RESOLUTION", 0.0, "CLIP_RESOLUTION is 0.0"),
        ("SAN.SIZE_DIVISIBILITY", 0, "SIZE_DIVISIBILITY is 0"),
        ("SAN.CLIP_TEMPLATE_SET", "'none'", "there are no templates 'none'; there are 'vild'"),
        ("SIDE_ADAPTER.NAME", "'Other'", "it can be 'RegionwiseSideAdapterNetwork'"),
        ("SIDE_ADAPTER.FUSION_TYPE", "'cat'", "FUSION_TYPE is 'cat'; it can be 'add'"),
        ("SIDE_ADAPTER.PRETRAINED", True, "PRETRAINED is True; it can be False"),
        ("SIDE_ADAPTER.VIT_NAME", "'vit_b'", "it is vit_w<width>n<heads>d<depth>_patch<size>"),
        ("SIDE_ADAPTER.FUSION_MAP", ["0-0"], "'0-0' is not 'CLIP block->side block'"),
        ("SIDE_ADAPTER.FUSION_MAP", ["9->0"], "with 0 to 3 and 0 to 4"),
        ("SIDE_ADAPTER.FUSION_MAP", ["0->1", "1->1"], "side block 1 stands twice"),
        (
            "SIDE_ADAPTER.DEEP_SUPERVISION_IDXS",
            [5],
            r"IDXS is \[5\]; it is a list of blocks, 1 to 4",
        ),
        ("SIDE_ADAPTER.ATTN_BIAS.NUM_HEADS", 2, "NUM_HEADS is 2; it can be 1 or 4"),
        ("SIDE_ADAPTER.ATTN_BIAS.NUM_LAYERS", 3, "NUM_LAYERS is 3; it can be 1 or 1"),
    ],
)
def test_options_that_do_not_exist_are_refused_by_name(key, value, message):
    cfg = load_config("quick/san_tiny.yaml", [f"MODEL.{key}", value])
    with pytest.raises(UserError, match=message):
        build_model(cfg)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SAN.REC_DOWNSAMPLE_METHOD", "nearest"),
        ("SAN.REC_DOWNSAMPLE_METHOD", "bicubic"),
        ("SAN.CLIP_RESOLUTION", 0.75),
        ("SAN.CLIP_FROZEN_EXCLUDE", ["all"]),
        ("SAN.EXCLUDE_IGNORED", True),
        ("SIDE_ADAPTER.DEEP_SUPERVISION_IDXS", [1, 2, 3]),
        ("SIDE_ADAPTER.DROP_PATH_RATE", 0.1),
        ("SIDE_ADAPTER.FUSION_MAP", ["3->4"]),
        ("SIDE_ADAPTER.ATTN_BIAS.MLP_NUM_LAYERS", 2),
    ],
)
def test_options_train(key, value):
    """Every trained parameter gets a gradient under each option."""
    options = [f"MODEL.{key}", value, "MODEL.SAN.NUM_CLASSES", 5]
    model = build_model(load_config("quick/san_tiny.yaml", options)).train()
    losses = model([training_input()])
    sum(losses.values()).backward()
    missing = [k for k, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    num_levels = len(value) if key.endswith("IDXS") else 2
    assert len(losses) == 3 * num_levels


@pytest.mark.parametrize("recognition", ["attn_bias", "mask_pooling"])
def test_gradient_checkpointing_gives_the_same_gradients_for_less_memory(recognition):
    """With stochastic depth, whose blocks must drop the same images a second time."""
    options = ["MODEL.SAN.NUM_CLASSES", 5, "MODEL.SAN.RECOGNITION", recognition]
    options += ["MODEL.SIDE_ADAPTER.DROP_PATH_RATE", 0.5]
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        key = ["MODEL.SAN.GRADIENT_CHECKPOINTING", checkpointing]
        model = build_model(load_config("quick/san_tiny.yaml", [*options, *key])).train()
        inputs = [training_input(seed) for seed in range(4)]

        def loss(model=model, inputs=inputs):
            torch.manual_seed(1)
            return sum(model(inputs).values())

        loss().backward()
        grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
        results.append((grads, saved_bytes(loss)))
    (plain, plain_bytes), (again, fewer_bytes) = results
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[key], again[key]) for key in plain)
    assert fewer_bytes < 0.7 * plain_bytes


def test_deeper_parts_of_clip_can_be_trained():
    options = ["MODEL.SAN.CLIP_DEEPER_FROZEN_EXCLUDE", ["resblocks.0.mlp", "proj"]]
    model = build_model(load_config("quick/san_tiny.yaml", options))
    trained = {k for k, p in model.mask_recognition.named_parameters() if p.requires_grad}
    assert "proj" in trained
    assert "blocks.0.mlp.c_fc.weight" in trained
    assert "blocks.0.ln_1.weight" not in trained
