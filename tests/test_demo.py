"""demo/demo.py and `san segment`, run as a user runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import san
from san.cli import main
from san.segment import _first_interrupt
from tests.tiny import CONFIG, SMALL, build_segmenter, save_weights

ROOT = Path(__file__).parents[1]
WORDS = ["sky", "sea|water", "sand", "boat", "Bär"]
GOOD = ["alpha", "animated", "cmyk", "exif", "gray", "gray16", "one_pixel", "palette", "strip"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(save_weights(build_segmenter(), tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images of many kinds, and of files that are none."""
    folder = tmp_path_factory.mktemp("images")
    with Image.open(ROOT / "demo" / "images" / "seen" / "seen_1.jpg") as scene:
        image = scene.resize((96, 72))
    image.convert("RGBA").save(folder / "alpha.png")
    image.save(folder / "animated.gif", save_all=True, append_images=[image.rotate(180)])
    image.convert("CMYK").save(folder / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(folder / "exif.jpg", exif=exif)
    image.convert("L").save(folder / "gray.bmp")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(
        folder / "gray16.tif"
    )
    image.resize((1, 1)).save(folder / "one_pixel.png")
    image.convert("P").save(folder / "palette.png")
    (folder / "sub").mkdir()
    image.resize((900, 1)).save(folder / "sub" / "strip.webp", lossless=True)
    (folder / "broken.jpg").write_bytes((folder / "cmyk.jpg").read_bytes()[:900])
    (folder / "text.png").write_text("no image")
    return folder


def run_demo(*args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(ROOT / "demo" / "demo.py"), *map(str, args)],
        capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
        env=environment, cwd=ROOT,
    )  # fmt: skip


def segment(*args):
    return main(["segment", *map(str, args)])


def read_results(output):
    return json.loads((output / "predictions.json").read_text(encoding="utf-8"))


def test_a_folder_with_bad_files(folder, weights, tmp_path):
    output = tmp_path / "out"
    result = run_demo(
        "--input", folder, "--vocabulary", *WORDS, "--output", output, "--device", "cpu",
        "--weights", weights, "--config-file", CONFIG, "--opts", *SMALL,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 2
    assert "broken.jpg" in errors[0]
    assert "text.png" in errors[1]
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr
    assert "image/s" in result.stderr
    assert "UNTRAINED" not in result.stdout
    assert "Segmented 9 of 11 images; 2 failed." in result.stdout
    assert str(output / "alpha.overlay.jpg") in result.stdout

    results = read_results(output)
    assert results["version"] == san.__version__
    assert results["config"] == CONFIG
    assert results["weights"] == weights
    assert results["device"] == "cpu"
    assert results["complete"] is True
    assert [entry["name"] for entry in results["vocabulary"]] == [
        "sky",
        "sea",
        "sand",
        "boat",
        "Bär",
    ]
    assert results["vocabulary"][1]["synonyms"] == ["water"]
    assert [Path(entry["file"]).name for entry in results["failed"]] == ["broken.jpg", "text.png"]
    assert all(entry["error"] for entry in results["failed"])
    assert [Path(entry["file"]).stem for entry in results["images"]] == GOOD
    for entry in results["images"]:
        check_image(entry, output)
    sizes = {
        Path(entry["file"]).stem: (entry["height"], entry["width"]) for entry in results["images"]
    }
    assert sizes["exif"] == (96, 72)
    assert sizes["alpha"] == (72, 96)
    assert sizes["strip"] == (1, 900)
    written = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    expected = {entry[key] for entry in results["images"] for key in ("overlay", "labels")}
    assert written == expected | {"predictions.json"}
    assert "sub/strip.labels.png" in written


def check_image(entry, output):
    """The label file, the overlay and the record of an image agree."""
    with Image.open(output / entry["overlay"]) as overlay:
        overlay.load()
        assert overlay.format == "JPEG"
    with Image.open(output / entry["labels"]) as image:
        assert image.mode.startswith("I")
        labels = np.asarray(image).astype(np.int64)
    assert labels.shape == (entry["height"], entry["width"])
    assert entry["seconds"] > 0
    rebuilt = np.full(labels.shape, 65535)
    areas = [item["area"] for item in entry["classes"]]
    assert areas == sorted(areas, reverse=True)
    for item in entry["classes"]:
        mask = coco_mask.decode(item["segmentation"]).astype(bool)
        rebuilt[mask] = item["index"]
        assert item["area"] == mask.sum()
        assert item["share"] == pytest.approx(mask.mean(), abs=1e-6)
        assert item["name"] == WORDS[item["index"]].split("|")[0]
        assert item["id"] == item["index"]
        assert item["score"] >= 0
    np.testing.assert_array_equal(rebuilt, labels)


def test_shipped_scenes_with_shipped_weights(tmp_path, capsys):
    """Far above chance, which is below 2 % of 57 classes and 6 % of 19."""
    for words, least in (("seen", 30), ("unseen", 20)):
        status = segment(
            "--input", ROOT / "demo" / "images" / words, "--output", tmp_path / words,
            "--truth", ROOT / "demo" / "truth" / words, "--device", "cpu",
            "--vocabulary", ROOT / "demo" / f"{words}.yaml",
        )  # fmt: skip
        assert status == 0
        out = capsys.readouterr().out
        assert "UNTRAINED" not in out
        assert "Segmented 3 of 3 images; 0 failed." in out
        results = read_results(tmp_path / words)
        assert results["weights"] == "san://san_tiny"
        assert results["metrics"]["mIoU"] > least
        assert f"mIoU {results['metrics']['mIoU']} over the" in out


def test_random_weights_are_named_so(folder, tmp_path, capsys):
    status = segment(
        "--input", folder / "gray.bmp", "--output", tmp_path, "--vocabulary", "cat, dog",
        "--config-file", CONFIG, "--device", "cpu", "--opts", *SMALL,
    )  # fmt: skip
    assert status == 0
    assert "the weights are UNTRAINED" in capsys.readouterr().out
    assert read_results(tmp_path)["weights"] is None


def test_background_threshold_leaves_pixels_out(folder, weights, tmp_path):
    status = segment(
        "--input", folder / "alpha.png", "--output", tmp_path, "--vocabulary", "cat, dog",
        "--background-threshold", "0", "--weights", weights, "--config-file", CONFIG,
        "--opts", *SMALL,
    )  # fmt: skip
    assert status == 0
    results = read_results(tmp_path)
    assert results["background_threshold"] == 0
    assert results["images"][0]["classes"] == []
    with Image.open(tmp_path / "alpha.labels.png") as labels:
        assert (np.asarray(labels) == 65535).all()


def test_label_files_with_the_ids_of_the_vocabulary(folder, weights, tmp_path, capsys):
    words = tmp_path / "words.yaml"
    words.write_text("classes: [{name: cat, id: 300}, {name: dog, id: 7}]")
    args = ["--input", folder / "alpha.png", "--vocabulary", words, "--output", tmp_path / "out",
            "--weights", weights, "--config-file", CONFIG, "--label-ids"]  # fmt: skip
    assert segment(*args, "--opts", *SMALL) == 0
    assert read_results(tmp_path / "out")["labels"] == "id"
    with Image.open(tmp_path / "out" / "alpha.labels.png") as labels:
        assert set(np.unique(labels)) <= {300, 7}
    words.write_text("classes: [{name: cat, id: 70000}, dog]")
    assert segment(*args, "--overwrite", "--opts", *SMALL) == 2
    assert "class 'cat' has the id 70000: label files hold ids up" in capsys.readouterr().err


def test_a_second_run_loses_nothing(folder, weights, tmp_path, capsys):
    args = ["--input", folder / "gray.bmp", "--vocabulary", "cat", "dog", "--output", tmp_path,
            "--weights", weights, "--config-file", CONFIG]  # fmt: skip
    assert segment(*args, "--opts", *SMALL) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert segment(*args, "--opts", *SMALL) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {tmp_path / 'predictions.json'} exists already: give another")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "predictions.json").unlink()
    assert segment(*args, "--opts", *SMALL) == 2
    assert "gray.overlay.jpg exists already" in capsys.readouterr().err
    args[3:5] = ["horse"]
    assert segment(*args, "--overwrite", "--opts", *SMALL) == 0
    assert read_results(tmp_path)["vocabulary"][0]["name"] == "horse"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--vocabulary": ["cat", "Cat"]}, "'Cat' stands twice in the vocabulary"),
        ({"--vocabulary": ["cat", "mouse " * 90]}, "the word 'mouse mouse"),
        ({"--vocabulary": ["{tmp}/bad.yaml"]}, "bad.yaml, line 2: "),
        ({"--input": ["{tmp}/*.gif"]}, "no file found in"),
        ({"--output": ["{tmp}/bad.yaml"]}, "bad.yaml is a file: give a folder"),
        ({"--weights": ["mine.pth"], "--config-file": []}, "'mine.pth' is none of the published"),
        ({"--weights": ["{tmp}/none.pth"]}, "none.pth"),
        ({"--config-file": ["none.yaml"]}, "config file 'none.yaml' not found"),
        ({"--device": ["gpu"]}, "device 'gpu' cannot be used"),
        ({"--background-threshold": ["7"]}, "background_threshold is 7.0: give a number"),
        ({"--opts": ["INPUT.MIN_SIZE", "64"]}, "INPUT.MIN_SIZE"),
        ({"--opts": ["INPUT.MIN_SIZE_TEST"]}, "KEY VALUE pairs"),
    ],
)
def test_mistakes_stop_before_anything_is_written(folder, tmp_path, capsys, change, message):
    (tmp_path / "bad.yaml").write_text("- cat\n\t- dog")
    options = {
        "--input": [str(folder / "gray.bmp")], "--vocabulary": ["cat"],
        "--output": [str(tmp_path / "out")], "--config-file": [CONFIG], **change,
    }  # fmt: skip
    args = []
    for key, values in options.items():
        if values:
            args += [key, *(value.replace("{tmp}", str(tmp_path)) for value in values)]
    assert segment(*args) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_interruption_keeps_what_is_written(weights, tmp_path):
    (tmp_path / "in").mkdir()
    with Image.open(ROOT / "demo" / "images" / "seen" / "seen_1.jpg") as scene:
        scene.resize((96, 72)).save(tmp_path / "in" / "0.jpg")
    for i in range(1, 200):
        shutil.copy(tmp_path / "in" / "0.jpg", tmp_path / "in" / f"{i}.jpg")
    output = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "san.cli", "segment", "--input", str(tmp_path / "in"),
         "--vocabulary", *WORDS, "--output", str(output), "--device", "cpu", "--weights", weights,
         "--config-file", CONFIG, "--opts", *SMALL],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT,
    )  # fmt: skip
    try:
        while len(list(output.glob("*.labels.png"))) < 5 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    results = read_results(output)
    assert results["complete"] is False
    assert 1 <= len(results["images"]) < 200
    for entry in results["images"]:
        check_image(entry, output)
    written = {path.name for path in output.iterdir()}
    expected = {entry[key] for entry in results["images"] for key in ("overlay", "labels")}
    assert written == expected | {"predictions.json"}


def test_scenes_and_vocabularies_are_made_by_their_script(tmp_path):
    subprocess.run(
        [sys.executable, str(ROOT / "demo" / "make_scenes.py"), str(tmp_path)],
        timeout=60, check=True,
    )  # fmt: skip
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    shipped = [path.relative_to(ROOT / "demo") for path in (ROOT / "demo").rglob("*.*")]
    assert made == sorted(path for path in shipped if path.suffix not in (".py", ".pyc"))
    for name in made:
        one, two = ROOT / "demo" / name, tmp_path / name
        if name.suffix == ".yaml":
            assert one.read_text() == two.read_text()
            continue
        assert one.stat().st_size < 60_000
        with Image.open(one) as first, Image.open(two) as second:
            difference = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
        assert difference.mean() < 1  # libraries differ in rounding and JPEG


def test_the_second_interrupt_does_not_wait():
    with pytest.raises(KeyboardInterrupt), _first_interrupt() as interrupted:
        assert not interrupted.is_set()
        signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupts_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _first_interrupt() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
