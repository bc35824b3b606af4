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
from san.label_vocabulary import missing_labels
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
            CPU: labels of the data set, -1 for none.
        """
        outputs = self.model(batched_inputs)
        return [
            {**output, "oracle_label_map": self._oracle_label_map(record)}
            for record, output in zip(batched_inputs, outputs, strict=True)
        ]

    def _oracle_label_map(self, record):
        vocabulary, rest = full_vocabulary(record)
        classes = oracle_classes(record)  # (k,)
        positions = np.isin(vocabulary.ids, classes).nonzero()[0]
        if not len(positions):  # all pixels are ignored, or background without a word
            return torch.full((record["height"], record["width"]), rest, dtype=torch.int32)
        restricted = vocabulary.select(positions)
        (output,) = self.model([{**record, "vocabulary": restricted}])
        labels = output["label_map"] if "label_map" in output else output["sem_seg"].argmax(0)
        table = torch.tensor([*restricted.ids, rest], dtype=torch.int32)
        return table[labels.cpu().long()]  # position -1 is the last


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


def full_vocabulary(record):
    """The vocabulary of an input, and the label of what is none of its classes.

    Args:
        record (dict): a segmentor's input; without a `Vocabulary`, class i is label i.

    Returns:
        tuple: Vocabulary; int, the label that is the id of no class, -1 where there is no such one.
    """
    vocabulary = record.get("vocabulary")
    if not isinstance(vocabulary, Vocabulary):
        synonyms = OpenVocabSegmentor.vocabulary_of(record)
        vocabulary = Vocabulary(
            names=tuple(phrases[0] for phrases in synonyms),
            synonyms=synonyms,
            colors=np.zeros((len(synonyms), 3), np.uint8),  # nothing is drawn
            ids=tuple(range(len(synonyms))),
        )
    num_labels = len(MetadataCatalog.get(record["meta"]["dataset_name"]).stuff_classes)
    missing = missing_labels(vocabulary, num_labels)
    return vocabulary, missing[0] if len(missing) == 1 else NONE
