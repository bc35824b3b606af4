"""Side adapter: a light ViT beside CLIP that sees the image at full resolution.

SAN (arXiv 2302.12242), Sec. 3.2 and Fig. 4. Its tokens are Q queries and the image's patches;
CLIP's features are added to the patches at chosen depths, and the position embedding is added again
before every block.

B batch, Q queries, S width, (h, w) grid of patches, T supervised levels.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..layers import DecayedLayerNorm, affine, call
from ..pos_embed import resize_pos_embed
from .vit_block import Block


class FeatureFusion(nn.Module):
    """Adds CLIP features to the patches: norm, 1 x 1 convolution, resize ("add" in the paper)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.norm = DecayedLayerNorm(in_channels)
        self.proj = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        nn.init.kaiming_uniform_(self.proj.weight, a=1)  # Xavier over fan in alone, as Caffe2's
        nn.init.zeros_(self.proj.bias)

    def forward(self, patches, clip_map, grid):
        """patches (B, h * w, S), clip_map (B, h', w', E) -> (B, h * w, S)."""
        x = affine(self.proj, self.norm(clip_map)).permute(0, 3, 1, 2)  # (B, S, h', w')
        x = F.interpolate(x, size=grid, mode="bilinear", align_corners=False)
        return patches + x.flatten(2).transpose(1, 2)


class SideAdapterNetwork(nn.Module):
    """The side network, without the mask decoder.

    Args:
        image_size (int): pixels of the native, square position embedding.
        patch_size, width, depth, num_heads (int): of the ViT; MLP ratio 4, GELU, no final norm.
        num_queries (int): Q.
        clip_width (int): E, channels of CLIP's features.
        fusion_map (dict[int, int]): {side block: CLIP block}; 0 is before the first block.
        supervised (list[int]): blocks whose output is returned, the deepest of them last.
        drop_path_rate (float): stochastic depth of the last block.
    """

    recompute = False  # see `call`

    def __init__(
        self,
        *,
        image_size,
        patch_size,
        width,
        depth,
        num_heads,
        num_queries,
        clip_width,
        fusion_map,
        supervised,
        drop_path_rate=0.0,
    ):
        super().__init__()
        self.native_grid = (image_size // patch_size,) * 2
        self.num_queries = num_queries
        self.fusion_map = fusion_map
        self.supervised = sorted(supervised)
        self.patch_embed = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size)
        num_patches = self.native_grid[0] * self.native_grid[1]
        self.pos_embed = nn.Parameter(torch.randn(1, num_patches, width) * 0.02)
        self.query_embed = nn.Parameter(torch.randn(1, num_queries, width) * 0.02)
        self.query_pos_embed = nn.Parameter(torch.randn(1, num_queries, width) * 0.02)
        drop_path = [drop_path_rate * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(Block(width, num_heads, rate) for rate in drop_path)
        self.blocks.apply(_init_linear)
        self.blocks[self.supervised[-1] :].requires_grad_(False)  # run never, so trained never
        self.fusion = nn.ModuleDict({str(j): FeatureFusion(clip_width, width) for j in fusion_map})

    def forward(self, image, clip_maps):
        """Run queries and patches through the blocks.

        Args:
            image (Tensor): (B, 3, H, W), normalized.
            clip_maps (dict[int, Tensor]): {CLIP block: (B, h', w', E)}.

        Returns:
            queries (T, B, Q, S), pixels (T, B, h, w, S): after each supervised block. In evaluation
            T is 1, the last one alone.
        """
        patches = self.patch_embed(image)  # (B, S, h, w)
        grid = tuple(patches.shape[-2:])
        patches = patches.flatten(2).transpose(1, 2)  # (B, h * w, S)
        pos_embed = resize_pos_embed(self.pos_embed, self.native_grid, grid)
        pos_embed = torch.cat([self.query_pos_embed, pos_embed], dim=1)  # (1, Q + h * w, S)
        x = torch.cat([self.query_embed.expand(len(patches), -1, -1), patches], dim=1)
        x = self._fuse(0, x + pos_embed, clip_maps, grid)  # (B, Q + h * w, S)
        levels = self.supervised if self.training else self.supervised[-1:]
        queries, pixels = [], []
        for i in range(1, levels[-1] + 1):
            if i > 1:
                x = x + pos_embed
            x = call(self.blocks[i - 1], x, recompute=self.recompute)
            x = self._fuse(i, x, clip_maps, grid)
            if i in levels:
                queries.append(x[:, : self.num_queries])
                pixels.append(x[:, self.num_queries :].unflatten(1, grid))
        return torch.stack(queries), torch.stack(pixels)

    def _fuse(self, i, x, clip_maps, grid):
        if i not in self.fusion_map:
            return x
        queries, patches = x.split([self.num_queries, x.shape[1] - self.num_queries], dim=1)
        patches = self.fusion[str(i)](patches, clip_maps[self.fusion_map[i]], grid)
        return torch.cat([queries, patches], dim=1)


def _init_linear(module):
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
