"""Evaluation with an oracle vocabulary: per image only the words that its ground truth shows.

It tells apart what recognition among many words costs from how well regions are found. Figures of
this kind are not comparable with those of the full vocabulary, and are always labeled "oracle".
"""

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from san.data.datasets import load_labels
from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor
from san.modeling.text.vocabulary import Vocabulary

NONE = -1


class OracleVocabulary(nn.Module):
    """A segmentor that sees every image twice: with its full vocabulary, and with an oracle one.

    Same input as the segmentor, of images with ground truth. Each word is embedded but once: the
    segmentor keeps embeddings by word.
    """

    def __init__(self, model):
        """
        Args:
            model (nn.Module): takes a list of dicts, gives a list of dicts with ``label_map`` or
                ``sem_seg``.
        """
        super().__init__()
        self.model = model.module if isinstance(model, DistributedDataParallel) else model
        self.training = self.model.training

    @torch.no_grad()
    def forward(self, batched_inputs):
        """
        Args:
            batched_inputs (list[dict]): the segmentor's input, with "sem_seg_file_name" and
                "meta": {"dataset_name": ...}.

        Returns:
            list[dict]: the segmentor's output and ``oracle_label_map`` (height, width) int32 on the
            CPU: positions in the full vocabulary, -1 for none.
        """
        outputs = self.model(batched_inputs)
        return [
            {**output, "oracle_label_map": self._oracle_label_map(record)}
            for record, output in zip(batched_inputs, outputs, strict=True)
        ]

    def _oracle_label_map(self, record):
        classes = oracle_classes(record)  # (k,)
        if not len(classes):  # all pixels are ignored
            return torch.full((record["height"], record["width"]), NONE, dtype=torch.int32)
        vocabulary = restrict(record, classes)
        (output,) = self.model([{**record, "vocabulary": vocabulary}])
        labels = output["label_map"] if "label_map" in output else output["sem_seg"].argmax(0)
        back = torch.tensor([*classes, NONE], dtype=torch.int32)  # position -1 is the last
        return back[labels.cpu().long()]


def oracle_classes(record):
    """Classes of an image's ground truth, ascending; ignored pixels are of none.

    Class 0 is always among them where it stands for the rest: if it is called "background", or if
    the protocol gives pixels to it by a threshold.

    Returns:
        ndarray: (k,) int.
    """
    metadata = MetadataCatalog.get(record["meta"]["dataset_name"])
    classes = np.unique(load_labels(record, metadata, dtype=None))
    classes = classes[classes != metadata.ignore_label]
    protocol = record.get("protocol")
    has_threshold = protocol and (protocol.score_threshold or protocol.area_threshold)
    if has_threshold or metadata.stuff_classes[0].strip().lower() == "background":
        classes = np.union1d([0], classes)
    return classes.astype(int)


def restrict(record, classes):
    """The `Vocabulary` of an input, cut to some of its classes; its prompts stay.

    Args:
        record (dict): a segmentor's input.
        classes (ndarray): (k,) int, positions to keep.
    """
    synonyms = [OpenVocabSegmentor.vocabulary_of(record)[c] for c in classes]
    return Vocabulary(
        names=tuple(phrases[0] for phrases in synonyms),
        synonyms=tuple(synonyms),
        colors=np.zeros((len(classes), 3), np.uint8),  # nothing is drawn
        ids=tuple(range(len(classes))),
        templates=getattr(record.get("vocabulary"), "templates", None),
    )
