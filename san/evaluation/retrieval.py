"""Image-text retrieval: captions by image and images by caption, with CLIP's embeddings.

N images, M captions, D embedding.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from san.files import write_json, write_text

from .report import overall_table

RANKS = (1, 5)
_ROWS = 1024  # of the similarity matrix, at once


class RetrievalEvaluator(DatasetEvaluator):
    """Recall at 1 and 5 of captions by image and of images by caption.

    A query finds what it should if one of the first k has its content. A caption that several
    images of one content have counts once. Kept in memory: all embeddings.
    """

    def __init__(self, dataset_name, output_dir=None):
        """
        Args:
            dataset_name (str)
            output_dir (str): where ``retrieval_evaluation.json`` and ``.md`` go; None: nowhere.
        """
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.reset()

    def reset(self):
        """Forget all images."""
        self._images = []  # (content, (D,) embedding) of every image
        self._captions = {}  # (content, caption) -> (D,) embedding

    def process(self, inputs, outputs):
        """Keep the embeddings of a batch.

        Args:
            inputs (list[dict]): ``content`` and ``captions`` (list[str]).
            outputs (list[dict]): ``image_embed`` (D,) and ``caption_embeds`` (n, D), unit norm.
        """
        for record, output in zip(inputs, outputs, strict=True):
            content = str(record["content"])
            self._images.append((content, output["image_embed"].cpu()))
            keys = [(content, caption) for caption in record["captions"]]
            self._captions.update(zip(keys, output["caption_embeds"].cpu(), strict=True))

    def evaluate(self):
        """Recalls over the images of all processes.

        Returns:
            OrderedDict | None: {"retrieval": {"image_to_text_R@1", ..., "text_to_image_R@5"}} in
            percent, on the main process; None on the others.
        """
        parts = comm.gather((self._images, self._captions))
        if not comm.is_main_process():
            return None
        by_caption = {key: embed for part in parts for key, embed in part[1].items()}
        image_contents, images = zip(*(pair for part in parts for pair in part[0]), strict=True)
        images = torch.stack(images)  # (N, D)
        captions = torch.stack(list(by_caption.values()))  # (M, D)
        contents = list(image_contents), [content for content, _ in by_caption]
        metrics = {
            **recalls("image_to_text", images, captions, *contents),
            **recalls("text_to_image", captions, images, *reversed(contents)),
        }
        if self.output_dir:
            self._write(metrics, len(images), len(captions))
        return OrderedDict(retrieval=metrics)

    def _write(self, metrics, num_images, num_captions):
        stem = Path(self.output_dir) / "retrieval_evaluation"
        report = {"dataset": self.dataset_name, "images": num_images, "captions": num_captions}
        write_json(f"{stem}.json", {**report, "metrics": metrics})
        table = overall_table({self.dataset_name: metrics}, "retrieval")
        counts = f"{num_images} images and {num_captions} captions, in percent."
        write_text(f"{stem}.md", f"{table}\n{counts}\n")


def recalls(name, queries, items, query_contents, item_contents):
    """Recall at 1 and 5 in percent, {"<name>_R@1": ..., "<name>_R@5": ...}.

    Args:
        queries, items (Tensor): (N, D) and (M, D), unit norm.
        query_contents, item_contents (list[str]): (N,) and (M,); equal ones match.
    """
    ids = {content: i for i, content in enumerate(dict.fromkeys(item_contents + query_contents))}
    query_ids = torch.tensor([ids[content] for content in query_contents])  # (N,)
    item_ids = torch.tensor([ids[content] for content in item_contents])  # (M,)
    found = []
    for rows, rows_ids in zip(queries.split(_ROWS), query_ids.split(_ROWS), strict=True):
        nearest = (rows @ items.T).topk(min(max(RANKS), len(items))).indices  # (rows, 5)
        found.append(item_ids[nearest] == rows_ids[:, None])
    found = torch.cat(found)  # (N, 5)
    return {f"{name}_R@{k}": 100 * found[:, :k].any(dim=1).double().mean().item() for k in RANKS}
