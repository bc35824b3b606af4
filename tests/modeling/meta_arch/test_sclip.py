"""SCLIP's variants, and the training of its learned projection."""

import pytest
import torch
from detectron2.structures import Instances
from torch.nn import functional as F

from san.errors import UserError
from san.modeling.meta_arch.sclip import PROJECTED, QK_ATTENTIONS, ProjectedAttention, labels_of
from tests.modeling.meta_arch.test_dense_clip import WORDS, build, image

VARIANTS = [
    *([name] for name in (*QK_ATTENTIONS, *PROJECTED)),
    *(["plain", "TEMPERATURE", 0.3], ["plain", "QK_BLOCK", 2], ["csa", "QK_BLOCK", 2]),
    *(["local", "LOCAL_WINDOW", 1], ["random_projection", "NUM_PROJECTIONS", 4]),
    *(["random_projection", "PROJECTION_SEED", 1],),
]


def variant(name, *options):
    keys = [f"MODEL.SCLIP.{key}" for key in ("ATTENTION", *options[::2])]
    values = [name, *options[1::2]]
    return build("sclip", *(x for pair in zip(keys, values, strict=True) for x in pair))


@torch.no_grad()
def test_variants_differ_and_start_from_one_clip():
    x = {"image": image(64, 64), "vocabulary": WORDS}
    torch.manual_seed(0)
    outputs = {}
    for options in VARIANTS:
        model = variant(*options)
        if options[0] in PROJECTED[1:]:  # the draws of ``build`` went elsewhere
            state = variant("csa").state_dict()
            model.load_state_dict(state, strict=False)
        outputs[tuple(options)] = model([x])[0]["sem_seg"]
    # A learned projection starts as a random one of its seed
    names = [name for name in outputs if name != ("learned_projection",)]
    for i, first in enumerate(names):
        for second in names[:i]:
            difference = (outputs[first] - outputs[second]).abs().max()
            assert difference > 1e-4, (first, second)


def test_random_projections_are_a_function_of_the_seed():
    """Not of the state of any generator; they keep the length of a token, and are not saved."""
    first, again, other = (ProjectedAttention(64, 2, seed) for seed in (3, 3, 4))
    assert torch.equal(first.projections, again.projections)
    assert not torch.equal(first.projections, other.projections)
    assert not first.state_dict() and not list(first.parameters())
    x = torch.randn(1000, 64)
    lengths = [(x @ p.T).norm(dim=1).mean() for p in first.projections]
    torch.testing.assert_close(
        torch.stack(lengths), x.norm(dim=1).mean().expand(2), rtol=0.1, atol=0
    )


def test_a_learned_projection_starts_as_a_random_one():
    learned = ProjectedAttention(64, 1, 0, learned=True)
    assert torch.equal(learned.projections, ProjectedAttention(64, 1, 0).projections)
    assert learned.projections.requires_grad and list(learned.state_dict()) == ["projections"]


def training_input(seed=0, size=(64, 64), classes=(0, 2, 4)):
    labels = torch.arange(size[0] * size[1]).view(size) * (len(classes) + 1) // (size[0] * size[1])
    instances = Instances(size)
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    instances.gt_masks = labels == torch.arange(len(classes)).view(-1, 1, 1)  # a part is unlabeled
    return {"image": image(*size, seed), "instances": instances, "vocabulary": WORDS}


def test_labels_of_instances():
    instances = training_input()["instances"]
    labels = labels_of(instances)
    assert labels.shape == (64, 64) and labels.dtype == torch.int64
    for name, mask in zip(instances.gt_classes, instances.gt_masks, strict=True):
        assert torch.equal(labels == name, mask)
    assert ((labels == -1) == ~instances.gt_masks.any(dim=0)).all() and (labels == -1).any()
    empty = Instances((4, 5), gt_classes=torch.zeros(0).long(), gt_masks=torch.zeros(0, 4, 5) > 0)
    assert (labels_of(empty) == -1).all()


@pytest.fixture
def learned():
    return variant("learned_projection").train()


def test_loss_is_the_cross_entropy_of_the_pixels(learned):
    batch = [training_input(0), training_input(1, classes=(1, 3))]
    loss = learned(batch)["loss_ce"]
    total, count = 0, 0
    learned.eval()
    for x in batch:
        image = learned.preprocess_image([x]).tensor[0]
        text = learned.embed_text([x])[0]
        cosines = learned.classify(image, learned.windows(image, learned.inference), text)
        maps = F.interpolate(40 * cosines[None], (64, 64), mode="bilinear")[0].permute(1, 2, 0)
        logits = text.classes(maps)  # (64, 64, 5): the best synonym counts
        labels = labels_of(x["instances"])
        for value in range(5):
            at = labels == value
            total = total - logits.log_softmax(dim=-1)[at][:, value].sum()
            count += at.sum()
    torch.testing.assert_close(loss, total / count)


def test_only_the_projection_is_trained(learned):
    trained = {n: p for n, p in learned.named_parameters() if p.requires_grad}
    assert list(trained) == ["clip.attention.projections"]
    learned([training_input()])["loss_ce"].backward()
    (projection,) = trained.values()
    assert projection.grad.abs().sum() > 0
    assert all(p.grad is None for p in learned.parameters() if p is not projection)


def test_training_lowers_the_loss(learned):
    batch = [training_input(seed) for seed in range(2)]
    optimizer = torch.optim.Adam([learned.clip.attention.projections], 0.01)
    losses = []
    for _ in range(12):
        loss = learned(batch)["loss_ce"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.005


def test_an_image_without_labels_has_no_loss(learned):
    x = training_input()
    x["instances"] = x["instances"][torch.zeros(3, dtype=torch.bool)]
    assert learned([x])["loss_ce"].item() == 0
    both = learned([x, training_input(1)])["loss_ce"]
    torch.testing.assert_close(both, learned([training_input(1)])["loss_ce"])


@pytest.mark.parametrize(("options", "message"), [
    (["sharp"], "SCLIP.ATTENTION is 'sharp'; it is one of csa, csa_q, csa_k, plain, local, ident"),
    (["csa", "TEMPERATURE", 0.0], "SCLIP.TEMPERATURE is 0.0; it is a factor above 0"),
    (["csa", "QK_BLOCK", 5], "SCLIP.QK_BLOCK is 5; it is 0 for the last .* 1 to 4"),
    (["random_projection", "QK_BLOCK", 1], "SCLIP.QK_BLOCK is 1; it is 0 for the last block"),
    (["local", "LOCAL_WINDOW", 4], "SCLIP.LOCAL_WINDOW is 4; it is an odd number of patches"),
    (["random_projection", "NUM_PROJECTIONS", 0], "NUM_PROJECTIONS is 0; it is a number of proj"),
])  # fmt: skip
def test_bad_values_are_named(options, message):
    with pytest.raises(UserError, match=message):
        variant(*options)
