"""CLIP's symmetric cross entropy (arXiv 2103.00020, Sec. 2.3 and Fig. 3) with several positives.

    L = 1/2 [ H(Y, softmax(s I T^t)) + H(Y, softmax(s T I^t)) ]

I, T are image and text embeddings of the global batch, s the inverse temperature, H the cross
entropy averaged over the rows. Y[i, j] = 1 / |P(i)| where pair j has the content of pair i, P(i)
being all such pairs, else 0: UniCL (arXiv 2204.03610), Eq. 1-3. Where all contents differ, Y is the
identity and L is CLIP's loss.

n pairs on this process, N on all of them, D embedding.
"""

import hashlib

import torch
from detectron2.utils import comm
from open_clip.loss import ClipLoss
from torch.nn import functional as F


class ContrastiveLoss(ClipLoss):
    """open_clip's loss, over all processes, with targets that pairs of equal content share.

    Each process computes its own rows of the matrix against the embeddings of all; the gradients,
    averaged over the processes as DistributedDataParallel does, are those of the global batch.
    """

    def __init__(self):
        super().__init__(
            local_loss=True,
            gather_with_grad=True,
            rank=comm.get_rank(),
            world_size=comm.get_world_size(),
        )

    def forward(self, image_embeds, text_embeds, logit_scale, contents):
        """Mean loss of this process' pairs, of which every process has the same number.

        Args:
            image_embeds, text_embeds (Tensor): (n, D), unit norm, float32.
            logit_scale (Tensor): scalar s, an inverse temperature.
            contents (sequence[str | int]): (n,); equal ones describe the same.
        """
        logits_per_image, logits_per_text = self.get_logits(image_embeds, text_embeds, logit_scale)
        targets = self.targets(contents, image_embeds.device)  # (n, N), as both logits
        image_loss = F.cross_entropy(logits_per_image, targets)
        return (image_loss + F.cross_entropy(logits_per_text, targets)) / 2

    def targets(self, contents, device):
        """Y: (n, N) float32, this process' rows."""
        own = torch.tensor([content_id(content) for content in contents], device=device)  # (n,)
        everyone = own
        if self.world_size > 1:
            parts = [torch.empty_like(own) for _ in range(self.world_size)]
            torch.distributed.all_gather(parts, own)
            everyone = torch.cat(parts)  # (N,)
        same = (own[:, None] == everyone).float()
        return same / same.sum(dim=1, keepdim=True)


def content_id(content):
    """64-bit int of a content (str or int), the same in every process and every run."""
    digest = hashlib.blake2b(str(content).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
