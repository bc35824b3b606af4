"""The converter: official <-> ours, bit for bit, and what it refuses."""

import argparse

import pytest
import torch
from detectron2.modeling import build_model

from san import convert
from san.checkpoint import load_weights, to_san
from san.config import find_config, load_config
from san.weight_file import read_checkpoint, save_weights
from tests.official import official_state_dict


def run(*arguments):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    return convert.main(parser.parse_args(list(map(str, arguments))))


@pytest.fixture
def refusal(capsys):
    """Run the command, which must refuse, and give what it says."""

    def refusal(*arguments):
        capsys.readouterr()
        assert run(*arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: ")
        return err

    return refusal


@pytest.fixture(scope="module")
def official():
    return official_state_dict("tiny")


@pytest.fixture
def official_file(official, tmp_path):
    """As Detectron2's trainer leaves it."""
    path = tmp_path / "official.pth"
    torch.save({"model": official, "optimizer": {}, "iteration": 59999}, path)
    return path


def assert_same(state_dict, expected):
    assert list(state_dict) == list(expected)
    for key, value in expected.items():
        assert state_dict[key].dtype == value.dtype, key
        assert torch.equal(state_dict[key], value), key


@pytest.mark.parametrize("file", ["ours.pth", "ours.safetensors"])
def test_there_and_back_is_bit_for_bit(official, official_file, tmp_path, capsys, file):
    ours, back = tmp_path / "new folder" / file, tmp_path / "back.pth"
    assert run(official_file, ours) == 0
    assert capsys.readouterr().out == (
        f"wrote {ours} in this package's format: 177 tensors (of 178), 3.7 M values, CLIP with "
        "quick_gelu; left out: iteration, optimizer\n"
    )
    assert run(ours, back) == 0
    assert "the official SAN's format: 178 tensors (of 177)" in capsys.readouterr().out
    assert_same(read_checkpoint(back)["model"], official)


def test_half_precision_stays_half(tmp_path):
    official = official_state_dict("tiny", torch.float16)
    torch.save(official, tmp_path / "official.pth")
    run(tmp_path / "official.pth", tmp_path / "ours.safetensors")
    run(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    assert_same(read_checkpoint(tmp_path / "back.pth")["model"], official)


def test_what_is_written_loads_into_a_model(official_file, tmp_path):
    model = build_model(load_config(find_config("quick/san_tiny.yaml")))
    run(official_file, tmp_path / "ours.safetensors")
    load_weights(model, tmp_path / "ours.safetensors")
    expected = to_san(read_checkpoint(official_file)["model"])
    assert torch.equal(model.mask_recognition.proj, expected["mask_recognition.proj"])


def test_the_format_to_write_can_be_the_one_that_is_read(official, official_file, tmp_path):
    run(official_file, tmp_path / "clean.pth", "--to", "official")
    assert read_checkpoint(tmp_path / "clean.pth").keys() == {"model", "metadata"}
    assert_same(read_checkpoint(tmp_path / "clean.pth")["model"], official)
    run(official_file, tmp_path / "ours.pth")
    run(tmp_path / "ours.pth", tmp_path / "ours.safetensors", "--to", "san")
    assert read_checkpoint(tmp_path / "ours.safetensors")["model"].keys() == to_san(official).keys()


def test_the_activation_is_noted_in_both_formats(official_file, tmp_path, refusal):
    run(official_file, tmp_path / "ours.safetensors", "--clip-activation", "gelu")
    run(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    model = build_model(
        load_config(find_config("quick/san_tiny.yaml"), ["MODEL.SAN.CLIP_ACTIVATION", "gelu"])
    )
    for file in ("ours.safetensors", "back.pth"):
        assert read_checkpoint(tmp_path / file)["metadata"] == {"clip_activation": "gelu"}
        load_weights(model, tmp_path / file)
    text = refusal(tmp_path / "back.pth", tmp_path / "x.pth", "--clip-activation", "quick_gelu")
    assert "says that its CLIP has gelu, not quick_gelu" in text


def test_our_weights_without_a_note_need_the_option(official, tmp_path, refusal):
    torch.save(to_san(official), tmp_path / "ours.pth")
    text = refusal(tmp_path / "ours.pth", tmp_path / "noted.pth", "--to", "san")
    assert "ours.pth does not say which activation" in text
    assert "say it with --clip-activation quick_gelu" in text
    run(tmp_path / "ours.pth", tmp_path / "n.pth", "--to", "san", "--clip-activation", "gelu")
    assert read_checkpoint(tmp_path / "n.pth")["metadata"] == {"clip_activation": "gelu"}


def test_a_file_is_not_converted_onto_itself(official_file, refusal):
    before = official_file.read_bytes()
    assert "it is the file to convert" in refusal(official_file, official_file)
    assert official_file.read_bytes() == before


def test_formats_have_their_file_types(official_file, tmp_path, refusal):
    run(official_file, tmp_path / "ours.pth")
    text = refusal(tmp_path / "ours.pth", tmp_path / "back.safetensors")
    assert "the official SAN's weights are .pth files" in text
    text = refusal(official_file, tmp_path / "ours.onnx")
    assert "this package's weights are .pth or .safetensors files" in text


def test_a_folder_that_cannot_be_made_is_told(official_file, tmp_path, refusal):
    text = refusal(official_file, official_file / "ours.pth")
    assert f"cannot write {official_file / 'ours.pth'}: " in text


def test_missing_files_and_other_models_are_refused(tmp_path, refusal):
    assert "no weight file at" in refusal(tmp_path / "none.pth", tmp_path / "out.pth")
    save_weights(tmp_path / "clip.pth", {"visual.proj": torch.ones(1)}, {"clip_activation": "gelu"})
    text = refusal(tmp_path / "clip.pth", tmp_path / "out.pth")
    assert "not a SAN checkpoint of this package" in text and "visual.proj" in text
    assert not (tmp_path / "out.pth").exists()
