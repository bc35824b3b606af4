"""Weights into models: what fits, what is refused, and saves that survive a kill."""

import logging
import os
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from safetensors.torch import save_file
from torch import nn

from san.checkpoint import Checkpointer, load_weights, to_san
from san.config import find_config, load_config
from san.errors import UserError
from san.fit import check_fit
from san.modeling.text import text_cache
from san.weight_file import read_checkpoint, save_weights
from tests.official import official_state_dict

SMAPS = Path("/proc/self/smaps")


def build(*opts):
    return build_model(load_config(find_config("quick/san_tiny.yaml"), opts))


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture
def official():
    return official_state_dict("tiny")


@pytest.fixture
def saved(model, tmp_path):
    """A checkpoint of ``model``, whose weights no other test depends on."""
    Checkpointer(model, str(tmp_path)).save("model_0000001")
    return tmp_path / "model_0000001.pth"


def assert_loaded(model, expected):
    for key, value in model.state_dict().items():
        if key != "criterion.class_weight":
            assert torch.equal(value, expected[key]), key


# What is loaded


def test_official_weights_load_in_both_layouts(model, official, tmp_path):
    ours = to_san(official)
    trained = {"model": official, "trainer": {"iteration": 5}, "iteration": 5}
    for content in (official, trained, {f"module.{k}": v for k, v in official.items()}):
        nn.init.zeros_(model.side_adapter.query_embed)
        torch.save(content, tmp_path / "weights.pth")
        load_weights(model, tmp_path / "weights.pth")
        assert_loaded(model, ours)


@pytest.mark.parametrize("file", ["ours.safetensors", "ours.pth"])
def test_our_weights_load_from_both_file_types(model, official, tmp_path, file):
    save_weights(tmp_path / file, to_san(official), {"clip_activation": "quick_gelu"})
    nn.init.zeros_(model.side_adapter.query_embed)
    load_weights(model, str(tmp_path / file))
    assert_loaded(model, to_san(official))


def test_loaded_weights_are_the_models_own(official, tmp_path):
    """They are pages of the file, but neither changes with the other."""
    path, model = tmp_path / "weights.pth", build()
    torch.save(official, path)
    before = path.read_bytes()
    projection = model.text_classifier.text_encoder.text_projection
    load_weights(model, path)
    with torch.no_grad():
        projection.add_(1)
    assert path.read_bytes() == before
    path.unlink()
    assert torch.equal(projection, official["ov_classifier.text_projection"] + 1)
    assert projection is model.text_classifier.text_encoder.text_projection


@pytest.mark.skipif(not SMAPS.exists(), reason="the system does not tell")
def test_a_text_tower_whose_words_are_cached_is_not_read(official, tmp_path, monkeypatch):
    monkeypatch.setenv("SAN_CACHE", str(tmp_path))
    monkeypatch.delenv(text_cache.SWITCH)
    path = tmp_path / "weights.pth"
    torch.save(official, path)
    shares = []
    for words in (["cat"], ["cat"], ["dog"]):
        model = build()
        load_weights(model, path)
        with torch.no_grad():
            model.text_classifier.embed_words(words)
        shares.append(resident_bytes(path) / path.stat().st_size)
        del model
    assert shares[0] > 0.8 and shares[1] < 0.3 and shares[2] > 0.8, shares


def resident_bytes(path):
    """Memory that holds pages of a mapped file."""
    total, inside = 0, False
    for line in SMAPS.read_text().splitlines():
        if line.split()[0].count("-") == 1 and not line.split()[0].endswith(":"):
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


def test_the_number_of_training_classes_has_no_bearing(model, official, tmp_path, caplog):
    own = model.criterion.class_weight.clone()
    assert official["criterion.empty_weight"].shape != own.shape
    torch.save(official, tmp_path / "weights.pth")
    with caplog.at_level(logging.INFO, "san.checkpoint"):
        load_weights(model, tmp_path / "weights.pth")
    assert torch.equal(model.criterion.class_weight, own)
    assert "its criterion.class_weight is not used, the config makes it" in caplog.text
    del official["criterion.empty_weight"]
    torch.save(official, tmp_path / "weights.pth")
    load_weights(model, tmp_path / "weights.pth")
    assert torch.equal(model.criterion.class_weight, own)


# What does not fit


def test_differing_keys_and_shapes_are_listed_and_nothing_is_loaded(model, official, tmp_path):
    weights = to_san(official)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    weights = {k: v for k, v in weights.items() if not k.startswith("side_adapter.blocks.0.")}
    weights["clip.extra"] = torch.zeros(1)
    weights["mask_decoder.bias_scale.bias"] = torch.zeros(3)
    save_weights(tmp_path / "w.safetensors", weights, {"clip_activation": "quick_gelu"})
    with pytest.raises(UserError) as error:
        load_weights(model, tmp_path / "w.safetensors")
    text = str(error.value)
    assert text.startswith(f"{tmp_path / 'w.safetensors'}: the weights do not fit the model SAN")
    assert "12 parameters of the model are missing: side_adapter.blocks.0.norm1.weight, " in text
    assert "mlp.fc1.bias, ...\n" in text  # the tenth of twelve
    assert "1 keys are unknown to the model: clip.extra\n" in text
    assert "1 shapes differ: mask_decoder.bias_scale.bias (3,) (model: (1,))" in text
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_weights_of_another_clip_name_both_widths():
    large = to_san(official_state_dict("l14", device="meta"))
    base = to_san(official_state_dict("b16", device="meta"))
    with pytest.raises(UserError, match=r"CLIP width is 1024, the model's 768: use the config"):
        check_fit(large, base, "SAN")


def test_weights_with_another_number_of_queries_name_the_key(official, tmp_path):
    torch.save(official, tmp_path / "weights.pth")
    other = build("MODEL.SIDE_ADAPTER.NUM_QUERIES", "12")
    with pytest.raises(UserError, match=r"queries is 10, the model's 12: set .*NUM_QUERIES"):
        load_weights(other, tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("visual.class_embedding", "looks like CLIP alone: MODEL.SAN.CLIP_PRETRAINED_NAME takes"),
        ("backbone.stem.weight", "checkpoint of another model .see MODEL.META_ARCHITECTURE"),
    ],
)
def test_a_checkpoint_of_another_model_is_told(model, tmp_path, key, hint):
    torch.save({key: torch.zeros(3)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=hint):
        load_weights(model, tmp_path / "weights.pth")


def test_unknown_official_keys_name_the_file(model, official, tmp_path):
    torch.save({**official, "clip_rec_head.new": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: not an official SAN .*clip_rec_head\.new"):
        load_weights(model, tmp_path / "weights.pth")


# The activation of CLIP


@pytest.fixture(scope="module")
def gelu_model():
    return build("MODEL.SAN.CLIP_ACTIVATION", "gelu")


def test_official_weights_in_a_gelu_model_are_refused(gelu_model, official, tmp_path):
    torch.save(official, tmp_path / "weights.pth")
    with pytest.raises(UserError, match='CLIP_ACTIVATION "quick_gelu", or use .* "openai"'):
        load_weights(gelu_model, tmp_path / "weights.pth")


def test_checkpoints_carry_their_activation(model, gelu_model, saved, tmp_path):
    assert read_checkpoint(saved)["metadata"] == {"clip_activation": "quick_gelu"}
    with pytest.raises(UserError, match="CLIP with quick_gelu, and the model was built with gelu"):
        load_weights(gelu_model, saved)
    Checkpointer(gelu_model, str(tmp_path)).save("gelu")
    load_weights(gelu_model, tmp_path / "gelu.pth")
    with pytest.raises(UserError, match='built with quick_gelu, .*CLIP_ACTIVATION "gelu"$'):
        load_weights(model, tmp_path / "gelu.pth")


def test_our_weights_without_a_note_of_the_activation_are_refused(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match="convert-weights .* --clip-activation quick_gelu"):
        load_weights(model, tmp_path / "weights.pth")


# Checkpointer


def train_state(model):
    """What a trainer keeps, after two steps."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for _ in range(2):
        optimizer.zero_grad()
        sum(p.square().sum() for p in parameters).backward()
        optimizer.step()
        scheduler.step()
    return {"optimizer": optimizer, "scheduler": scheduler}


def flat(state, prefix=""):
    if isinstance(state, dict):
        return {k: v for name in state for k, v in flat(state[name], f"{prefix}.{name}").items()}
    return {prefix: state.tolist() if isinstance(state, torch.Tensor) else state}


def test_resume_restores_model_optimizer_and_scheduler(tmp_path):
    model = build()
    state = train_state(model)
    Checkpointer(model, str(tmp_path), **state).save("model_0000001", iteration=1)
    other = build()
    parameters = [p for p in other.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    checkpointer = Checkpointer(other, str(tmp_path), optimizer=optimizer, scheduler=scheduler)
    assert checkpointer.resume_or_load("unused.pth", resume=True)["iteration"] == 1
    assert_loaded(other, model.state_dict())
    assert flat(optimizer.state_dict()) == flat(state["optimizer"].state_dict())
    assert flat(scheduler.state_dict()) == flat(state["scheduler"].state_dict())


def test_without_resume_the_weights_alone_are_loaded(tmp_path, official):
    torch.save({"model": official, "optimizer": {"not": "ours"}}, tmp_path / "model_final.pth")
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    checkpointer = Checkpointer(model, str(tmp_path), optimizer=optimizer)
    checkpointer.resume_or_load(str(tmp_path / "model_final.pth"), resume=False)
    assert_loaded(model, to_san(official))
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_an_empty_path_loads_nothing(model, tmp_path):
    before = model.side_adapter.query_embed.clone()
    assert Checkpointer(model, str(tmp_path)).resume_or_load("", resume=True) == {}
    assert torch.equal(model.side_adapter.query_embed, before)


def test_resume_from_weights_alone_is_refused(model, saved):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpointer = Checkpointer(model, str(saved.parent), optimizer=optimizer)
    with pytest.raises(UserError, match="no state of optimizer.*leave out --resume"):
        checkpointer.resume_or_load("", resume=True)


def test_pickle_files_and_missing_files_are_refused_by_name(model, tmp_path):
    (tmp_path / "R-50.pkl").write_bytes(b"\x80\x04N.")
    for file, reason in (("R-50.pkl", "pickle file"), ("none.pth", "no weight file at")):
        with pytest.raises(UserError, match=reason) as error:
            Checkpointer(model).resume_or_load(str(tmp_path / file), resume=False)
        assert file in str(error.value)


def test_a_path_may_have_any_characters(model, saved):
    odd = saved.rename(saved.with_name("run #3? 100%.pth"))
    Checkpointer(model).load(str(odd))


def test_an_url_that_cannot_be_had_is_named(model):
    with pytest.raises(UserError, match=r"cannot get the weights http://127\.0\.0\.1:9/w\.pth"):
        load_weights(model, "http://127.0.0.1:9/w.pth")


def test_only_the_main_process_saves(model, tmp_path):
    Checkpointer(model, str(tmp_path), save_to_disk=False).save("model_0000001")
    Checkpointer(model, "").save("model_0000001")
    assert not list(tmp_path.iterdir())


def test_distributed_models_are_saved_under_their_own_names(tmp_path):
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", store, rank=0, world_size=1)
    try:
        model = build()
        wrapped = nn.parallel.DistributedDataParallel(model)
        Checkpointer(wrapped, str(tmp_path)).save("model_final")
        content = read_checkpoint(tmp_path / "model_final.pth")
        assert content["model"].keys() == model.state_dict().keys()
        assert content["metadata"] == {"clip_activation": "quick_gelu"}
        Checkpointer(wrapped, str(tmp_path)).resume_or_load("", resume=True)
    finally:
        torch.distributed.destroy_process_group()


# Saves that break


def test_a_save_that_fails_leaves_the_old_checkpoint(model, saved):
    class Failing:
        def state_dict(self):
            return {"object": logging.getLogger()}

        def load_state_dict(self, state):
            raise AssertionError

    before = saved.read_bytes()
    with pytest.raises(TypeError, match="could not be read back, for it holds logging.getLogger"):
        Checkpointer(model, str(saved.parent), hook=Failing()).save("model_0000001")
    assert saved.read_bytes() == before
    assert sorted(os.listdir(saved.parent)) == ["last_checkpoint", "model_0000001.pth"]


def test_leftovers_of_killed_saves_are_ignored_and_cleaned_up(model, saved):
    leftover = saved.with_name(".model_0000002.pth.0123abcd.tmp")
    leftover.write_bytes(saved.read_bytes()[:1000])
    checkpointer = Checkpointer(model, str(saved.parent))
    assert checkpointer.get_checkpoint_file() == str(saved)
    checkpointer.save("model_0000003")
    assert not leftover.exists()
    assert checkpointer.get_checkpoint_file() == str(saved.with_name("model_0000003.pth"))


def test_a_truncated_newest_checkpoint_is_skipped_with_a_warning(model, saved, caplog):
    checkpointer = Checkpointer(model, str(saved.parent))
    for name in ("model_0000002", "model_0000003"):
        checkpointer.save(name)
    newest = saved.with_name("model_0000003.pth")
    newest.write_bytes(newest.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert checkpointer.has_checkpoint()
        found = checkpointer.get_checkpoint_file()
    assert found == str(saved.with_name("model_0000002.pth"))
    assert caplog.text.count(f"Skipping the broken checkpoint {newest}") == 1
    checkpointer.resume_or_load("", resume=True)


def test_the_last_checkpoint_is_the_one_noted(model, saved):
    checkpointer = Checkpointer(model, str(saved.parent))
    checkpointer.save("model_0000002")
    checkpointer.tag_last_checkpoint(saved.name)
    assert checkpointer.get_checkpoint_file() == str(saved)
    saved.with_name("last_checkpoint").unlink()
    assert checkpointer.get_checkpoint_file() == str(saved.with_name("model_0000002.pth"))


def test_if_all_checkpoints_are_broken_training_does_not_start_anew(model, saved):
    saved.write_bytes(b"")
    checkpointer = Checkpointer(model, str(saved.parent))
    with pytest.raises(UserError, match=r"none of the checkpoints in .*: model_0000001\.pth; to"):
        checkpointer.resume_or_load("", resume=True)


def test_safetensors_from_elsewhere_need_a_note_too(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="does not say which activation"):
        load_weights(model, tmp_path / "w.safetensors")
