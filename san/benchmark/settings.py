"""What is measured: one `Setting` for each point of a sweep, one `Job` for all of them.

Imports nothing heavy: the process that starts the measurements stays small.
"""

import itertools
import platform
import re
from dataclasses import asdict, dataclass, replace

from san.errors import UserError

MEASURES = {
    "inference": "image to label map, with decoding before it and writing after it",
    "scores": "image to scores of all classes",
    "training": "a training step",
    "text": "words to text embeddings",
    "start": "san segment, from its start to its end, on one image",
}
DTYPES = ("float32", "bfloat16", "float16")
COMPILE_MODES = ("none", "default", "reduce-overhead", "max-autotune")
# What glibc is told; "tuned" keeps freed memory, so that large tensors are not page-faulted afresh
ALLOCATORS = {
    "default": None,
    "tuned": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:"
    "glibc.malloc.top_pad=268435456",
}
# Fields that say nothing about a measure; they are None there
_NOT_OF = {
    "training": ("source_size",),
    "text": ("image_size", "source_size", "batch_size", "dtype", "compile"),
    "start": ("image_size", "batch_size", "dtype", "compile"),
}


@dataclass(frozen=True)
class Setting:
    """One point of a sweep; fields that mean nothing to its measure are None.

    Attributes:
        measure: one of MEASURES.
        image_size: (height, width) in pixels that the model sees, before padding.
        source_size: (height, width) of the image file, and so of the result.
        batch_size: images at once.
        num_words: classes of the vocabulary.
        dtype: one of DTYPES; see `san.modeling.precision`, in training autocast.
        device: "cpu", "cuda", "cuda:1" ...
        compile: "none" (eager), or the mode of torch.compile, for every network stage.
        allocator: one of ALLOCATORS, of the C library.
    """

    measure: str = "inference"
    image_size: tuple | None = (640, 640)
    source_size: tuple | None = (640, 640)
    batch_size: int | None = 1
    num_words: int = 171
    dtype: str | None = "float32"
    device: str = "cpu"
    compile: str | None = "none"
    allocator: str = "default"

    @classmethod
    def from_dict(cls, fields):
        """The inverse of :meth:`as_dict`, after JSON too."""
        sizes = {
            key: tuple(fields[key]) if fields[key] else None
            for key in ("image_size", "source_size")
        }
        return cls(**{**fields, **sizes})

    def as_dict(self):
        """Fields as JSON types."""
        return asdict(self)

    def texts(self):
        """{field: text} as reports show it; fields that mean nothing to the measure as "-"."""
        texts = {key: "-" if value is None else str(value) for key, value in asdict(self).items()}
        for key in ("image_size", "source_size"):
            if getattr(self, key):
                texts[key] = " x ".join(map(str, getattr(self, key)))
        return texts

    def title(self):
        """The setting in one line."""
        texts = self.texts()
        parts = [self.measure]
        for key, form in _TITLE.items():
            if texts[key] != "-" and not (key == "compile" and texts[key] == "none"):
                parts.append(form.format(texts[key]))
        if self.source_size not in (None, self.image_size):
            parts.append(f"of {texts['source_size']}")
        return ", ".join(parts)


_TITLE = {
    "image_size": "{} px",
    "batch_size": "batch {}",
    "num_words": "{} words",
    "dtype": "{}",
    "device": "{}",
    "compile": "compiled ({})",
    "allocator": "{} allocator",
}


@dataclass(frozen=True)
class Job:
    """What all settings of a run share.

    Attributes:
        config_file: path, or name below configs/.
        weights: path, URL or san://NAME; "": random weights.
        opts: KEY VALUE pairs over the config.
        warmup, repeats: runs that do not count, and runs that do.
        threads: of the CPU; None: PyTorch's own choice.
    """

    config_file: str
    weights: str = ""
    opts: tuple = ()
    warmup: int = 2
    repeats: int = 7
    threads: int | None = None


def expand(measures, source_size=None, **choices):
    """All combinations of the choices, each measured once.

    Args:
        measures (sequence[str]): of MEASURES.
        source_size (tuple | None): of all settings; None: the image size of each.
        choices: field of `Setting` -> its values.

    Returns:
        list[Setting]

    Raises:
        UserError: an allocator that this system does not have.
    """
    if "tuned" in choices.get("allocator", ()) and platform.libc_ver()[0] != "glibc":
        raise UserError(
            "--allocator tuned sets up the C library glibc, which this system does not use: "
            "leave it out"
        )
    settings = []
    for measure in measures:
        for values in itertools.product(*choices.values()):
            setting = Setting(measure=measure, **dict(zip(choices, values, strict=True)))
            setting = replace(setting, source_size=source_size or setting.image_size)
            settings.append(replace(setting, **dict.fromkeys(_NOT_OF.get(measure, ()))))
    return list(dict.fromkeys(settings))


def parse_size(text):
    """ "640" or "640x960" -> (height, width) in pixels; for argparse.

    Raises:
        ValueError: anything else.
    """
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if min(size) < 1:
        raise ValueError(text)
    return size
