"""CLIP's text tower (arXiv 2103.00020, Sec. 2.4) over open_clip's modules.

N prompts, n tokens, M different beginnings of prompts, E width, D embedding.
"""

import torch
from torch import nn

from ..backbone.clip_attention import attend, finish_block, project, run_block

_PROMPTS_AT_ONCE = 256  # they share beginnings; attention costs the square of their nodes


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

    def embed_prompts(self, tokens):
        """As :meth:`forward`, but what prompts begin with alike is computed once for all of them.

        Attention is causal, so what a token becomes depends on the tokens up to it: prompts form a
        tree, in which each node attends to the path that leads to it. The prompts of a vocabulary,
        in which few templates meet many words, have fewer than half as many nodes as tokens.
        """
        rows = tokens.tolist()
        order = torch.tensor(sorted(range(len(rows)), key=rows.__getitem__))
        parts = tokens[order.to(tokens.device)].split(_PROMPTS_AT_ONCE)  # neighbours share most
        return torch.cat([self._embed_tree(part) for part in parts])[order.argsort()]

    def _embed_tree(self, tokens):
        """tokens (N, context) int64 -> (N, D), by one node for each different beginning."""
        nodes, depth, path, end = grow_tree(tokens)
        x = self.token_embedding(nodes) + self.positional_embedding[depth]
        x = x[None]  # (1, M, E)
        bias = torch.zeros_like(path, dtype=x.dtype).masked_fill_(~path, float("-inf"))  # (M, M)
        for block in self.blocks[:-1]:
            attended = attend(block.attn, *project(block.attn, block.ln_1(x)), bias)
            x = finish_block(block, x, attended)
        last = self.blocks[-1]  # of which the ends of prompts are wanted
        y = last.ln_1(x)
        (q,) = project(last.attn, y[:, end], "q")
        attended = attend(last.attn, q, *project(last.attn, y, "kv"), bias[end])
        x = self.ln_final(finish_block(last, x[0, end][None], attended))[0]  # (N, E)
        return x @ self.text_projection


def grow_tree(tokens):
    """The prefix tree of prompts.

    Args:
        tokens (Tensor): (N, context) int64, of each prompt up to the highest id, its end.

    Returns:
        token of each node (M,); its depth, from 0 (M,); path (M, M) bool, whether the column's node
        lies on the way from the root to the row's, itself included; node of each prompt's end (N,).
    """
    ends = tokens.argmax(dim=-1)
    node = torch.zeros_like(ends)  # of each prompt, at the depth reached
    levels, count = [], 0
    for depth in range(int(ends.max()) + 1):
        (alive,) = torch.nonzero(ends >= depth, as_tuple=True)
        steps = torch.stack([node[alive], tokens[alive, depth]])  # from where, by which token
        unique, inverse = steps.unique(dim=1, return_inverse=True)
        levels.append(unique)
        node[alive] = count + inverse
        count += unique.shape[1]
    parents, ids = torch.cat(levels, dim=1)
    sizes = torch.tensor([level.shape[1] for level in levels], device=tokens.device)
    depths = torch.arange(len(levels), device=tokens.device).repeat_interleave(sizes)
    path = torch.eye(count, dtype=torch.bool, device=tokens.device)
    for own in torch.arange(count, device=tokens.device).split(sizes.tolist())[1:]:
        path[own] |= path[parents[own]]
    return ids, depths, path, node
