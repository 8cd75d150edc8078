import pytest
import torch

from models.training.losses import LOSSES, loss_of, loss_over


@pytest.mark.parametrize("loss", list(LOSSES))
def test_unknown_pixels_change_no_loss(loss: str) -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(1, 1, 8, 8), torch.randint(0, 2, (1, 8, 8), dtype=torch.uint8)
    label[0, 4:] = 255
    other = logits.clone()
    other[0, 0, 4:] = 50
    assert loss_of(logits, label, loss, 2.0) == loss_of(other, label, loss, 2.0)
    assert loss_of(logits, torch.full_like(label, 255), loss) == 0


def test_losses_are_their_formulas() -> None:
    torch.manual_seed(0)
    z, true = torch.randn(40), torch.randint(0, 2, (40,)).float()
    logits, label = z.view(1, 1, 5, 8), true.view(1, 5, 8).to(torch.uint8)
    p = torch.sigmoid(z)
    own = torch.where(true == 1, p, 1 - p)
    # Two classes' cross-entropy, with logits that differ by ours.
    two = torch.stack([torch.zeros_like(z), z], dim=1)
    expected = torch.nn.functional.cross_entropy(two, true.long())
    assert torch.allclose(loss_of(logits, label, "cross-entropy"), expected)
    assert torch.allclose(loss_of(logits, label, "focal"), (-((1 - own) ** 2) * own.log()).mean(), atol=1e-6)
    dice = 1 - (2 * (p * true).sum() + 1) / (p.sum() + true.sum() + 1)
    assert torch.allclose(loss_of(logits, label, "bce-dice"), expected + dice, atol=1e-6)


def test_multitemporal_loss_is_the_mean_over_its_dates() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 6, 6), torch.randint(0, 2, (2, 3, 6, 6), dtype=torch.uint8)
    label[:, 0, 1:] = 255  # a date with few known pixels counts as much as any other
    label[:, 1] = 255  # one with none does not count
    each = [loss_of(logits[:, k : k + 1], label[:, k], "bce") for k in (0, 2)]
    assert torch.allclose(loss_over(logits, label, "bce"), torch.stack(each).mean())
