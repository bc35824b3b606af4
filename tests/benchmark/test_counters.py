"""FLOPs, operator calls and bytes of operations that are known by hand."""

import pytest
import torch
from torch.nn import functional as F

from san.benchmark.counters import Counters


def test_flops_by_stage():
    a, b = torch.rand(8, 16), torch.rand(16, 4)
    with torch.no_grad(), Counters() as counters:
        with counters.stage("product"):
            a @ b
        with counters.stage("vector"):
            a @ b[:, 0]
        with counters.stage("product"):
            a @ b
    results = counters.results()
    assert results["product"]["flops"] == 2 * 2 * 8 * 16 * 4
    assert results["vector"]["flops"] == 2 * 8 * 16
    assert results["total"]["flops"] == 2 * 2 * 8 * 16 * 4 + 2 * 8 * 16


@pytest.mark.parametrize("masked", [False, True])
def test_flops_of_attention(masked):
    """Fused or not: two products of (10 x 16) by (16 x 20) for each of 4 heads."""
    q, k = torch.rand(1, 4, 10, 16), torch.rand(1, 4, 20, 16)
    mask = torch.zeros(10, 20) if masked else None
    with torch.no_grad(), Counters() as counters:
        F.scaled_dot_product_attention(q, k, k, attn_mask=mask)
    assert counters.results()["total"]["flops"] == 2 * 4 * 2 * 10 * 16 * 20


def test_backward_pass_is_counted():
    """Of x W two products, since x wants a gradient too; fused attention has five."""
    x, weight = torch.rand(8, 16, requires_grad=True), torch.rand(16, 4, requires_grad=True)
    q = torch.rand(1, 1, 10, 16, requires_grad=True)
    with Counters() as counters:
        loss = (x @ weight).sum()
        with counters.stage("product"):
            loss.backward()
        loss = F.scaled_dot_product_attention(q, q, q).sum()
        with counters.stage("attention"):
            loss.backward()
    assert counters.results()["product"]["flops"] == 2 * 2 * 8 * 16 * 4
    assert counters.results()["attention"]["flops"] == 5 * 2 * 10 * 10 * 16


def test_bytes_alive_at_once():
    given = torch.rand(1000)  # 4,000 bytes that were there before
    with torch.no_grad(), Counters() as counters:
        view = given.view(10, 100)
        given.add_(1)
        for _ in range(5):
            first = view * 2
            second = first + 1
            third = second[:5].clone()
            del first, second, third
    results = counters.results()["total"]
    assert results["peak_bytes"] == 4000 + 4000 + 2000
    assert results["calls"] > 8
