import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import models
from minebench.cube import encoding
from minebench.data.datasets import Scale
from minebench.errors import InputError
from models.base import Classical
from models.layers.probes import LinearProbe, NearestProbe, Probe, vectors
from models.training.objective import Standardise

RNG = np.random.default_rng(0)
SCALE = Scale(np.full(64, encoding.ZERO, np.float32), np.full(64, encoding.SPAN, np.float32))


def images(count: int = 2, side: int = 6) -> tuple[torch.Tensor, np.ndarray]:
    """Images as a model sees them, one pixel without data, and their vectors (N, 64, y, x)."""
    found = RNG.normal(size=(count, 64, side, side))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    numbers = encoding.coded(found)
    numbers[:, :, 0, 0] = -encoding.ZERO
    held = torch.from_numpy(encoding.raised(numbers))
    return Standardise(SCALE)(held), np.nan_to_num(encoding.decoded(numbers))


def test_a_model_sees_the_vectors() -> None:
    seen, true = images()
    np.testing.assert_allclose(vectors(seen).numpy(), true, atol=1e-6)
    np.testing.assert_allclose(SCALE.apply(encoding.raised(encoding.coded(true))), seen.numpy(), atol=2e-3)


def test_cosine_change_is_one_minus_the_dot_product() -> None:
    (a, true_a), (b, true_b) = images(), images()
    network = models.create("embedding-cosine", in_channels=64)
    assert isinstance(network, Classical)
    found = network.statistic(a, b)
    np.testing.assert_allclose(found[:, 0].numpy(), 1 - (true_a * true_b).sum(axis=1), atol=1e-5)
    assert torch.equal(found, network.statistic(b, a))
    assert float(network.statistic(a, a)[:, :, 1:].abs().max()) < 0.05


def data(pixels: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of which one component says the class, and little else."""
    labels = np.repeat(np.array([0, 1], np.uint8), pixels // 2)
    found = RNG.normal(size=(pixels, 64))
    found[:, 7] += 9.0 * labels
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("kind", [LinearProbe, NearestProbe])
def test_probes_learn_what_there_is(kind: type[Probe]) -> None:
    probe = kind(64)
    probe.learn(*data(), 0)
    pixels, labels = data()
    chance = probe.chance(torch.from_numpy(pixels)).numpy()
    assert ((chance > 0.5) == labels).mean() > 0.9
    again = kind(64)
    assert not np.allclose(again.chance(torch.from_numpy(pixels)), chance)
    again.load_state_dict(probe.state_dict())
    assert np.array_equal(again.chance(torch.from_numpy(pixels)), chance)


def test_the_same_seed_learns_the_same() -> None:
    given = data()
    first, second, other = (NearestProbe(64, memory=100) for _ in range(3))
    for probe, seed in ((first, 0), (second, 0), (other, 1)):
        probe.learn(*given, seed)
    assert torch.equal(first.remembered, second.remembered)
    assert not torch.equal(first.remembered, other.remembered)


def test_neighbours_are_scikit_learns() -> None:
    probe = NearestProbe(64, neighbours=5, memory=400)
    probe.learn(*data(), 0)
    reference = KNeighborsClassifier(5, weights=lambda d: np.exp(-(d**2) / 2 / 0.07)).fit(
        probe.remembered.numpy(), probe.labels.numpy()
    )
    pixels, _ = data()
    expected = reference.predict_proba(pixels)[:, 1]
    np.testing.assert_allclose(probe.chance(torch.from_numpy(pixels)).numpy(), expected, atol=1e-4)


def test_more_pixels_than_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.layers import probes

    probe = NearestProbe(64, memory=200)
    probe.learn(*data(), 0)
    pixels = torch.from_numpy(data()[0])
    whole = probe.chance(pixels)
    monkeypatch.setattr(probes, "ROWS", 70)
    assert torch.allclose(whole, probe.chance(pixels), atol=1e-6)


def test_logits_are_above_0_where_the_chance_is_above_the_threshold() -> None:
    for name in ("embedding-linear", "embedding-knn", "embedding-linear-change", "embedding-knn-change"):
        probe = models.create(name, in_channels=64)
        assert isinstance(probe, Probe)
        probe.learn(*data(), 0)
        given = [images()[0] for _ in range(2 if "change" in name else 1)]
        chance = probe.statistic(*given)
        # Between two chances: of one that is the threshold, rounding decides.
        levels = chance.unique()
        probe.threshold.fill_(float(levels[len(levels) // 2 - 1 :][:2].mean()))
        assert levels.min() < probe.threshold < levels.max(), name
        assert ((probe(*given) > 0) == (chance > probe.threshold)).all(), name
        assert probe(*given).shape == (2, 1, 6, 6)


@pytest.mark.parametrize("options", [{"neighbours": 0}, {"memory": 1}, {"memory": -3}])
def test_options_that_remember_nothing_are_refused(options: dict[str, int]) -> None:
    ((option, given),) = options.items()
    with pytest.raises(InputError, match=f"options: {option} is {given}; it is at least"):
        models.create("embedding-knn", in_channels=64, **options)
