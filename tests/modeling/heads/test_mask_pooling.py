import pytest
import torch
from torch.nn import functional as F

from san.config import load_config
from san.errors import UserError
from san.modeling.backbone.clip import build_clip
from san.modeling.backbone.clip_vit import ClipViT, deep_part
from san.modeling.heads.mask_pooling import MaskPooling
from san.modeling.meta_arch import SAN

SIZE = 64, 96  # pixels
GRID = 4, 6


@torch.no_grad()
def test_a_mask_averages_what_clip_gives_for_its_patches():
    visual = build_clip("clip_tiny").model.visual
    blocks, ln_post, proj = deep_part(visual, 2)
    pooling = MaskPooling(blocks=blocks, ln_post=ln_post, proj=proj)
    image = torch.randn(2, 3, *SIZE)
    features = ClipViT(visual, 2)(image)
    assert features.grid_size == GRID
    whole = ClipViT(visual)(image)  # all blocks
    patches = (ln_post(whole.tokens[:, 1:]) @ proj).unflatten(1, GRID)  # (B, h, w, D)

    logits = torch.full((1, 2, 3, 8, 12), -100.0)  # a grid twice as fine
    logits[:, :, 0, :, :4] = 100  # left third
    logits[:, :, 1, 2:4, 6:8] = 100  # one patch
    logits[:, :, 2] = 100
    embeds = pooling(features.tokens, features.grid_size, logits)
    assert embeds.shape == (1, 2, 3, 64)
    for i in range(2):
        left, one, everything = embeds[0, i]
        mean = patches[i, :, :2].mean(dim=(0, 1))
        torch.testing.assert_close(left, F.normalize(mean, dim=-1))
        torch.testing.assert_close(one, F.normalize(patches[i, 1, 3], dim=-1))
        torch.testing.assert_close(everything, F.normalize(patches[i].mean(dim=(0, 1)), dim=-1))


def test_a_config_selects_it_and_no_biases_are_made():
    opts = ["MODEL.SAN.RECOGNITION", "mask_pooling"]
    model = SAN(load_config("quick/san_tiny.yaml", opts)).eval()
    assert isinstance(model.mask_recognition, MaskPooling)
    assert not any("attn_mlp" in name or "bias_scale" in name for name in model.state_dict())
    assert not any(p.requires_grad for p in model.mask_recognition.parameters())
    image = torch.zeros(3, 128, 128, dtype=torch.uint8)
    with torch.no_grad():
        (result,) = model([{"image": image, "vocabulary": ["sky", "grass"]}])
    assert result["sem_seg"].shape == (2, 128, 128)


def test_an_unknown_recognition_is_refused():
    opts = ["MODEL.SAN.RECOGNITION", "guess"]
    with pytest.raises(UserError, match="MODEL.SAN.RECOGNITION is 'guess'.*'mask_pooling'"):
        SAN(load_config("quick/san_tiny.yaml", opts))
