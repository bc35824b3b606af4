"""The result of a check as one HTML page that needs no other file."""

import base64
import io

import cv2
import numpy as np
from detectron2.data import MetadataCatalog
from jinja2 import Environment, PackageLoader

from san.colors import palette
from san.data.datasets import load_labels
from san.dataset_names import short_name
from san.files import write_text
from san.image_io import read_image
from san.visualize import draw_overlay
from san.visualize.label_map import resize_labels

from .run import spread
from .text import label_range, next_steps

NUM_OVERLAYS = 10
_MAX_SIDE = 960  # pixels of an overlay's image
_QUALITY = 85  # of its JPEG


def write_sheet(report, folder):
    """Write FOLDER/NAME.html -> its path.

    Args:
        report: of `check_dataset`, of a data set that is there.
        folder (Path): made if need be.
    """
    environment = Environment(
        loader=PackageLoader("san.data.check", "."), autoescape=True, trim_blocks=True
    )
    metadata = MetadataCatalog.get(report.name)
    colors = class_colors(metadata)
    html = environment.get_template("sheet.html").render(
        report=report,
        tally=report.tally,
        classes=_class_rows(report, colors),
        label_range=label_range(report),
        next_step=next_steps([report])[0],
        overlays=[
            {"file": record["file_name"], "uri": _data_uri(_overlay(record, metadata, colors))}
            for record in spread(report.usable, NUM_OVERLAYS)
        ],
    )
    path = folder / f"{short_name(report.name)}.html"
    write_text(path, html)
    return path


def class_colors(metadata):
    """(C, 3) uint8: the data set's own colors, or those of the palette."""
    own = metadata.get("stuff_colors")
    num_classes = len(metadata.stuff_classes)
    if own is not None and len(own) == num_classes:
        return np.array(own, np.uint8)
    return palette(num_classes)


def _class_rows(report, colors):
    """One dict per class, the most frequent first."""
    tally, shares = report.tally, report.tally.shares
    largest = max(shares.max(initial=0), 1e-12)
    return [
        {
            "id": int(i),
            "name": report.class_names[i],
            "color": "#{:02x}{:02x}{:02x}".format(*colors[i]),
            "pixels": int(tally.pixels[i]),
            "share": float(shares[i]),
            "bar": float(shares[i] / largest),
            "images": int(tally.images[i]),
        }
        for i in np.argsort(-tally.pixels, kind="stable")
    ]


def _overlay(record, metadata, colors):
    """The label map over its image, ignored pixels grey -> PIL image."""
    image, labels = read_image(record["file_name"]), load_labels(record, metadata)  # (H, W)
    labels = np.where(labels == metadata.ignore_label, -1, labels)
    scale = min(1, _MAX_SIDE / max(labels.shape))
    height, width = (max(1, round(side * scale)) for side in labels.shape)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    labels = resize_labels(labels, height, width)
    return draw_overlay(image, labels, list(metadata.stuff_classes), colors)


def _data_uri(picture):
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
