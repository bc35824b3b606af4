"""Building CLIP: names, activation, weights."""

import open_clip
import pytest
import torch

from san.errors import UserError
from san.modeling.backbone.clip import QuickGeluMlp, build_clip
from tests.saved_tensors import saved_bytes

IMAGE = torch.randn(1, 3, 64, 64)


def clip_tiny():
    return build_clip("clip_tiny").model


def mlps(model):
    blocks = [*model.visual.transformer.resblocks, *model.transformer.resblocks]
    return {type(block.mlp) for block in blocks}


def test_mlp_with_quick_gelu_is_open_clips_for_half_the_memory():
    theirs = open_clip.transformer.ResidualAttentionBlock(
        8, 2, act_layer=open_clip.transformer.QuickGELU
    ).mlp.requires_grad_(False)
    ours = QuickGeluMlp(theirs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x = torch.randn(2, 7, 8, requires_grad=True)
    torch.testing.assert_close(ours(x), theirs(x))
    grads = [torch.autograd.grad(mlp(x).sin().sum(), x)[0] for mlp in (ours, theirs)]
    torch.testing.assert_close(*grads)
    hidden, weights = 4 * 4 * x.numel(), 2 * 4 * 4 * 8 * 8  # bytes
    assert saved_bytes(ours, x) == weights + hidden
    assert saved_bytes(theirs, x) == weights + 2 * hidden


def test_a_clip_whose_weights_come_later_is_whole():
    """Nothing but the values of its parameters is missing."""
    later = build_clip("clip_tiny", load_weights=False).model
    ready = build_clip("clip_tiny").model
    later.load_state_dict(ready.state_dict())
    tokens = torch.tensor([[49406, 320, 49407] + [0] * 74])
    assert torch.equal(later.encode_text(tokens), ready.encode_text(tokens))
    assert torch.equal(later.encode_image(IMAGE), ready.encode_image(IMAGE))


@pytest.mark.parametrize("name", ["ViT-B/16", "ViT-B-16", "ViT-B-16-quickgelu"])
def test_openai_weights_get_quick_gelu(name):
    """open_clip itself builds plain GELU for the first two, and only warns."""
    built = build_clip(name, "openai", load_weights=False)
    assert built.activation == "quick_gelu"
    assert mlps(built.model) == {QuickGeluMlp}


@pytest.mark.parametrize(
    ("pretrained", "activation"), [("laion2b_s34b_b88k", "gelu"), ("dfn2b", "quick_gelu")]
)
def test_other_tags_get_the_activation_they_were_trained_with(pretrained, activation):
    built = build_clip("ViT-B-16", pretrained, load_weights=False)
    assert built.activation == activation


def test_without_weights_a_name_of_openai_means_quick_gelu():
    assert build_clip("ViT-B-16").activation == "quick_gelu"


def test_asked_activation_must_fit_the_weights():
    with pytest.raises(UserError, match="is 'gelu', but 'openai' weights .* with 'quick_gelu'"):
        build_clip("ViT-B-16", "openai", "gelu", load_weights=False)
    with pytest.raises(UserError, match="'auto', 'quick_gelu' or 'gelu'"):
        build_clip("clip_tiny", activation="relu")
    assert QuickGeluMlp not in mlps(build_clip("clip_tiny", activation="gelu").model)


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match=r"no CLIP model 'ViT-B-17'; close: .*ViT-B-16"):
        build_clip("ViT-B/17")
    with pytest.raises(UserError, match="neither a file nor a tag of ViT-B-16 .*openai"):
        build_clip("ViT-B-16", "nobody", "quick_gelu")


@pytest.mark.parametrize("name", ["RN50", "ViT-B-16-SigLIP", "coca_ViT-B-32", "roberta-ViT-B-32"])
def test_other_architectures_are_refused(name):
    with pytest.raises(UserError, match="not a CLIP of two plain transformers"):
        build_clip(name)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_from_a_file(suffix, tmp_path):
    source, path = clip_tiny(), str(tmp_path / f"clip.{suffix}")
    if suffix == "pt":
        torch.save(source.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(source.state_dict(), path)
    loaded = build_clip("clip_tiny", path).model
    assert torch.equal(loaded.encode_image(IMAGE), source.encode_image(IMAGE))
    assert not torch.equal(clip_tiny().encode_image(IMAGE), source.encode_image(IMAGE))


def test_openai_archives_load_and_mean_quick_gelu(tmp_path):
    """OpenAI's files are TorchScript archives of float16 tensors with three extra constants."""
    source = clip_tiny().half()

    class Archive(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in source.state_dict().items():
                parent = self
                *path, leaf = name.split(".")
                for part in path:
                    if not hasattr(parent, part):
                        parent.add_module(part, torch.nn.Module())
                    parent = getattr(parent, part)
                parent.register_buffer(leaf, value)
            for constant in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(constant, torch.tensor(64))

        def forward(self, x):
            return x

    path = str(tmp_path / "ViT-tiny.pt")
    torch.jit.save(torch.jit.trace(Archive(), torch.zeros(1)), path)
    built = build_clip("clip_tiny", path)
    for name, value in built.model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, source.state_dict()[name].float()), name
    assert build_clip("ViT-B-16", path, load_weights=False).activation == "quick_gelu"


def test_a_file_that_does_not_tell_its_activation_is_refused(tmp_path):
    path = str(tmp_path / "clip.pt")
    torch.save({}, path)
    with pytest.raises(
        UserError, match=r"clip\.pt' does not tell its activation; set 'quick_gelu'"
    ):
        build_clip("ViT-B-16", path, load_weights=False)
    assert build_clip("ViT-B-16-quickgelu", path, load_weights=False).activation == "quick_gelu"


def test_broken_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "clip.pt"
    path.write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"clip\.pt do not load into clip_tiny"):
        build_clip("clip_tiny", str(path))
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"clip\.pt do not load into clip_tiny"):
        build_clip("clip_tiny", str(path))


def test_a_failed_download_says_what_to_do(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "download_pretrained", offline)
    with pytest.raises(
        UserError, match=r"'openai' of ViT-B-16 .*no route.* set the key to a local file"
    ):
        build_clip("ViT-B/16", "openai")
