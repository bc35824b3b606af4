"""The tiny SAN with weights that tell regions and words apart, as trained ones do."""

from san import Segmenter
from san.checkpoint import Checkpointer
from san.name_map import to_official
from tests.golden.fill import fill_state_dict

CONFIG = "quick/san_tiny.yaml"
SMALL = ["INPUT.MIN_SIZE_TEST", "64"]


def build_segmenter():
    """Segmenter with the weights of the golden files: freshly initialized ones give one class."""
    segmenter = Segmenter.from_config(CONFIG, opts=SMALL, device="cpu")
    fill_state_dict(to_official(segmenter.model.state_dict()))  # shares its memory with the model
    return segmenter


def save_weights(segmenter, folder):
    """Write the weights of a segmenter -> path of the file."""
    Checkpointer(segmenter.model, str(folder)).save("tiny")
    return folder / "tiny.pth"
