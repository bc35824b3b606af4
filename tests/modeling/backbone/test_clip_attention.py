"""Attention of the methods without training, against formulas written out with every weight."""

import pytest
import torch

from san.modeling.backbone import clip_attention as ca

GRID = (3, 4)
TOKENS = 1 + 3 * 4


@pytest.fixture
def inputs():
    """Two images, 2 heads of 8 channels; the values are those that give back the weights."""
    q, k = torch.randn(2, 2, 2, TOKENS, 8)
    tokens = torch.randn(2, TOKENS, 16)
    return ca.AttentionInputs(tokens, q, k, torch.eye(TOKENS).expand(2, 2, -1, -1), GRID)


def weights(x, y, temperature=1.0, allowed=None):
    """softmax(x y^T / (sqrt(d) temperature)) where ``allowed``, row by row."""
    result = torch.zeros(2, 2, TOKENS, TOKENS)
    for image in range(2):
        for head in range(2):
            for i in range(TOKENS):
                columns = [j for j in range(TOKENS) if allowed is None or allowed(i, j)]
                products = [x[image, head, i] @ y[image, head, j] for j in columns]
                row = (torch.stack(products) / (8**0.5 * temperature)).softmax(dim=0)
                result[image, head, i, columns] = row
    return result


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


def test_plain(inputs):
    close(ca.plain_attention(inputs), weights(inputs.q, inputs.k))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_bias_learns_where_all_else_is_frozen(device):
    """As in the ablation with CLIP's position embedding frozen."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    attn = torch.nn.MultiheadAttention(16, 2, batch_first=True).to(device).requires_grad_(False)
    q, k, v = torch.randn(3, 2, 2, TOKENS, 8, device=device)
    bias = torch.randn(2, 2, TOKENS, TOKENS, device=device, requires_grad=True)
    out = ca.attend(attn, q, k, v, bias)
    x = (q @ k.transpose(-1, -2) / 8**0.5 + bias).softmax(dim=-1) @ v
    expected = attn.out_proj(x.transpose(1, 2).flatten(2))
    close(out, expected)
    direction = torch.randn_like(out)
    (gradient,) = torch.autograd.grad(out, bias, direction)
    close(gradient, torch.autograd.grad(expected, bias, direction)[0])


def test_identity_is_a_mask_off_the_diagonal(inputs):
    x = inputs._replace(v=torch.randn(2, 2, TOKENS, 8))
    mask = torch.full((TOKENS, TOKENS), float("-inf")).fill_diagonal_(0)
    expected = torch.nn.functional.scaled_dot_product_attention(x.q, x.k, x.v, attn_mask=mask)
    close(ca.identity_attention(x), expected)


def test_correlative(inputs):
    """Rows add up to 2, one for each term; a token attends to its like whatever its place."""
    close(
        ca.correlative_attention(inputs), weights(inputs.q, inputs.q) + weights(inputs.k, inputs.k)
    )
    close(ca.correlative_attention(inputs).sum(dim=-1), torch.full((2, 2, TOKENS), 2.0))
    for part in "qk":
        term = getattr(inputs, part)
        close(ca.correlative_attention(inputs, part), weights(term, term))


@pytest.mark.parametrize("temperature", [0.1, 3.0])
def test_temperature(inputs, temperature):
    sharp = ca.plain_attention(inputs, temperature)
    close(sharp, weights(inputs.q, inputs.k, temperature))
    largest = [x.amax(dim=-1).mean() for x in (sharp, ca.plain_attention(inputs))]
    assert (largest[0] > largest[1]) == (temperature < 1)
    correlative = ca.correlative_attention(inputs, "q", temperature)
    close(correlative, weights(inputs.q, inputs.q, temperature))


def test_projections_take_the_place_of_queries(inputs):
    """Their heads are runs of channels, as of queries; of several the attention is averaged."""
    projections = torch.randn(3, 16, 16) / 4
    terms = []
    for projection in [torch.eye(16), *projections]:
        x = torch.einsum("oi,bni->bno", projection, inputs.tokens)  # as nn.Linear does
        heads = torch.stack([x[..., :8], x[..., 8:]], dim=1)
        terms.append(weights(heads, heads))
    close(ca.projected_attention(inputs, None), terms[0])
    close(ca.projected_attention(inputs, projections[:1]), terms[1])
    close(ca.projected_attention(inputs, projections), sum(terms[1:]) / 3)


@pytest.mark.parametrize("window", [1, 3, 5, 7])
def test_local(inputs, window):
    def allowed(i, j):
        if i == 0 or j == 0:  # [CLS] sees all, and only [CLS] sees it
            return i == 0
        (row, column), (other_row, other_column) = divmod(i - 1, 4), divmod(j - 1, 4)
        return max(abs(row - other_row), abs(column - other_column)) <= window // 2

    close(ca.local_attention(inputs, window), weights(inputs.q, inputs.k, allowed=allowed))
