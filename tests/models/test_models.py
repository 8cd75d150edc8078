import pytest
import torch

import models
from minebench.errors import InputError
from models.base import Classical
from models.training.objective import reduced
from models.training.settings import Settings
from tests.zoo.names import CHANGE, SEGMENTATION, images_for, made


def test_dates_pass_batch_norm_one_after_the_other_in_training() -> None:
    """As in the published codes: the brightness of one date does not change how the other is normalised."""
    for name in ("snunet", "tinycd", "bit"):
        torch.manual_seed(0)
        network = models.create(name, in_channels=3).train()
        for module in network.modules():
            if hasattr(module, "dropped"):
                module.dropped = 0.0
        a, b = images_for(name, 2, 64)
        with torch.no_grad():
            (alone, _), (together, _) = network.both(a, b), network.both(a, 3 * b + 1)
            series = network.encode_series(torch.stack([a, b], dim=1))
        for one, other, dated in zip(alone, together, series, strict=True):
            assert torch.equal(one, other)
            assert torch.allclose(one, dated[:, 0], atol=1e-6)


def test_lsnet_passes_both_dates_together_as_published() -> None:
    network = made("lsnet").train()
    a, b = images_for("lsnet", 2, 64)
    with torch.no_grad():
        (alone, _), (together, _) = network.both(a, b), network.both(a, 3 * b + 1)
    assert not torch.allclose(alone[0], together[0], atol=1e-3)


def test_side_maps_meet_the_truths_nearest_pixels_at_their_own_size() -> None:
    """ChangeFormer's, as its published script reduces the truth; unknown pixels stay unknown."""
    torch.manual_seed(0)
    network = made("changeformer").train()
    images = images_for("changeformer", 2, 64)
    sizes = [logits.shape[-1] for _, logits in network.supervised(*images)]
    assert sizes == [64, 2, 4, 8, 16]
    label = torch.full((2, 3, 64, 64), 255, dtype=torch.uint8)
    label[:, :, :32] = 1
    small = reduced(label, torch.zeros(2, 3, 8, 8))
    assert small.shape == (2, 3, 8, 8)
    assert (small[:, :, :4] == 1).all()
    assert (small[:, :, 4:] == 255).all()


def test_symmetry_of_bit_but_for_the_tokens_places() -> None:
    torch.manual_seed(0)
    network = models.create("bit", in_channels=3).eval()
    with torch.no_grad():
        network.place[:, :4] = network.place[:, 4:]
        a, b = images_for("bit", 1, 64)
        assert torch.allclose(network(a, b), network(b, a), atol=1e-5)


def test_ir_mad_finds_what_changed_beyond_a_linear_shift() -> None:
    torch.manual_seed(0)
    a = torch.randn(2, 4, 48, 48)
    b = 1.7 * a + 0.4 + 0.1 * torch.randn_like(a)
    b[:, :, 10:20, 10:20] = torch.randn(2, 4, 10, 10)
    b[1, :, 30:] = 0  # no data
    network = models.create("ir-mad", in_channels=4)
    assert isinstance(network, Classical)
    found = network.statistic(a, b)[:, 0]
    changed, rest = found[:, 10:20, 10:20], torch.cat([found[:, :10, :], found[:, 20:30, :]], dim=1)
    assert changed.median() > 2 * rest.median()
    assert (found[1, 30:] == 0).all()
    # A linear change of one whole image changes nothing.
    assert torch.allclose(network.statistic(a, 3 * b + torch.where(b.any(1, keepdim=True), 2.0, 0.0)),
                          network.statistic(a, b), atol=2e-2)  # fmt: skip


def test_ir_mad_says_where_it_did_not_settle(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.change import ir_mad

    a, b = torch.randn(3, 4, 32, 32), torch.randn(3, 4, 32, 32)
    network = models.create("ir-mad", in_channels=4)
    network(a, b)
    assert not caplog.records
    monkeypatch.setattr(ir_mad, "ROUNDS", 1)
    network(a, b)
    assert "3 of 3 pairs had not settled after 1 rounds" in caplog.text


def test_names_and_unknown_models() -> None:
    assert {"fc-ef", "snunet", "bit", "tinycd", "minenetcd-swin-t", "insinet"} <= set(CHANGE)
    assert {"unet", "segformer-b0", "upernet-swin-b", "mask2former-swin-b"} <= set(SEGMENTATION)
    with pytest.raises(InputError, match="no model 'fc-siam-dif'; did you mean fc-siam-diff"):
        models.create("fc-siam-dif", in_channels=3)
    with pytest.raises(InputError, match="unet has no option 'depth'; known: width"):
        models.create("unet", in_channels=3, depth=9)
    with pytest.raises(InputError, match="fft is 'no'; choose one of code, paper, off"):
        models.create("minenetcd-swin-t", in_channels=3, fft="no")


def test_every_model_has_a_recipe_that_is_valid() -> None:
    for name in (*CHANGE, *SEGMENTATION):
        Settings.of({}, name)
        for whose in ("euromine", "minenet", "oms2"):
            Settings.of({"recipe": whose}, name)
