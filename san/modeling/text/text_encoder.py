"""CLIP's text tower (arXiv 2103.00020, Sec. 2.4) over open_clip's modules.

N prompts, n tokens, E width, D embedding.
"""

import torch
from torch import nn

from ..backbone.clip_attention import run_block


class TextEncoder(nn.Module):
    """Token ids -> text embeddings, in the words of open_clip's ``CLIP``, whose modules are used.

    Attention is causal and the embedding is read at the end-of-text token, so whatever stands after
    the last such token of a batch cannot matter: it is cut off, not computed. Prompts have about 10
    tokens, the context has 77.
    """

    def __init__(self, clip):
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding  # (context, E)
        self.blocks = clip.transformer.resblocks
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection  # (E, D)

    def forward(self, tokens):
        """tokens (N, context) int64 -> (N, D) float, not normalized."""
        end = tokens.argmax(dim=-1)  # (N,): the end-of-text token has the highest id
        tokens = tokens[:, : int(end.max()) + 1]  # (N, n)
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for block in self.blocks:
            x = run_block(block, x, is_causal=True)
        x = self.ln_final(x)[torch.arange(len(x), device=x.device), end]  # (N, E)
        return x @ self.text_projection
