import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from sklearn.metrics import average_precision_score

from models import data, registry
from models.data import datasets
from models.evaluation.evaluate import evaluate
from models.training import train
from models.training.checkpoint import Checkpoint, load, run_folder
from models.training.losses import LOSSES, loss_of, loss_over
from models.training.optimiser import choose_parameters
from models.training.settings import Settings
from pipeline.core.errors import InputError, WorkError
from tests.conftest import contents, run


def test_pair_items(built: Path) -> None:
    pairs = data.open(built / "data/tiny", "pairs", "train")
    item = pairs[0]
    assert item["a"].shape == item["b"].shape == (5, 64, 64)
    assert item["label"].shape == (64, 64)
    assert set(torch.unique(item["label"]).tolist()) <= {0, 1, 255}
    row = pairs.pairs.iloc[0]
    assert (item["tile_id"], item["t1"], item["t2"]) == (row.tile_id, row.t1, row.t2)


def test_labels_count_what_the_index_says(built: Path) -> None:
    for split in ("train", "val", "test"):
        pairs = data.open(built / "data/tiny", "pairs", split)
        for i in range(0, len(pairs), 3):
            label, row = pairs[i]["label"], pairs.pairs.iloc[i]
            assert int((label == 1).sum()) == row.changed
            assert int((label == 255).sum()) == row.unknown


def test_series_items_and_training_scale(built: Path) -> None:
    series = data.open(built / "data/tiny", "series", "train")
    images = torch.cat([series[i]["images"] for i in range(len(series))])
    assert images.shape[1:] == (5, 64, 64)
    # Clear pixels of the training split, and nothing else, set the scale.
    valid = images[(images != 0).all(dim=1, keepdim=True).expand_as(images)]
    assert float(valid.mean()) == pytest.approx(0, abs=0.02)
    assert float(valid.std()) == pytest.approx(1, abs=0.05)
    item = series[0]
    assert item["masks"].shape == (len(item["periods"]), 64, 64)


def test_a_small_scene_is_padded_by_repetition_and_padding_is_unknown(project: Path) -> None:
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("tiling: {size: 64}", "tiling: {size: 128}"))
    for stage in ("compose", "annotate", "tile"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    pairs = data.open(project / "data/tiny", "pairs", "train")
    item, row = pairs[0], pairs.pairs.iloc[0]
    assert item["label"].shape == (128, 128)
    assert (item["label"][98:] == 255).all()
    assert (item["a"][:, 98:, :98] == item["a"][:, :30, :98]).all()
    assert int((item["label"] == 1).sum()) == row.changed


def test_unknown_task_split_and_missing_index(built: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'triples' is not a task"):
        data.open(built / "data/tiny", "triples")
    with pytest.raises(InputError, match="no tiles in split 'dev'"):
        data.open(built / "data/tiny", "pairs", "dev")
    with pytest.raises(WorkError, match="run `minebench tile`"):
        data.open(tmp_path, "pairs")


SETTINGS = {"steps": 6, "batch": 2, "crop": 32, "validate_every": 2, "validation_items": 4}
SMALL = {"fc-siam-diff": {"width": 4}, "unet": {"width": 4}, "tinycd": {}}


def settings_of(model: str, **given: object) -> Settings:
    return Settings.of({**SETTINGS, "options": SMALL.get(model, {}), **given}, model)


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("fc-siam-diff", {"augment": ["flip", "turn", "affine", "noise", "jitter", "drop-band", "swap"]}),
        ("fc-siam-diff", {"series": True, "pairs": 2, "balance_intervals": False}),
        ("unet", {"changed_share": 0.5, "loss": "focal"}),
        ("unet", {"series": True, "dates": 2, "loss": "bce-dice", "cache_gb": 1.0}),
        ("tinycd", {"weights": None, "balance_intervals": True, "schedule": "step", "step_epochs": 1}),
    ],
)
def test_a_resumed_run_ends_with_the_same_numbers(
    project: Path, monkeypatch: pytest.MonkeyPatch, model: str, given: dict
) -> None:
    benchmark = project / "data/tiny"
    settings = settings_of(model, **given)
    weights = load(train.train(benchmark, model, settings))[1]
    live = contents(run_folder(benchmark, model) / "live")
    assert len((run_folder(benchmark, model) / "live/plots/metrics/val_loss.tsv").read_text().split()) == 8
    shutil.rmtree(benchmark / "runs")
    original = train.Loop._step

    def interrupted(self: train.Loop, batch: object) -> None:
        if self.state.step == 5:
            raise KeyboardInterrupt
        original(self, batch)

    monkeypatch.setattr(train.Loop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.train(benchmark, model, settings)
    monkeypatch.undo()
    assert (benchmark / "runs" / model / "checkpoint.pt").is_file()
    again = load(train.train(benchmark, model, settings))[1]
    named = {name: text.decode().split() for name, text in live.items() if name.endswith(".tsv")}
    for name, words in named.items():
        found = (run_folder(benchmark, model) / "live" / name).read_text().split()
        # Timestamps aside.
        assert found[2::3] == words[2::3] or found[1::2] == words[1::2]
    assert all(torch.equal(weights["weights"][name], again["weights"][name]) for name in weights["weights"])
    assert not (benchmark / "runs" / model / "checkpoint.pt").exists()


def test_a_run_says_how_it_came_about(project: Path) -> None:
    path = train.train(project / "data/tiny", "unet", settings_of("unet"))
    told = json.loads((path.parent / "run.json").read_text())
    assert told["settings"]["steps"] == 6
    assert {"torch", "transformers", "minebench"} <= set(told["packages"])
    assert len(told["git"].removesuffix("-dirty")) == 40


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


def test_evaluate_counts_every_known_pixel_once(project: Path) -> None:
    benchmark = project / "data/tiny"
    for model in ("fc-siam-diff", "unet"):
        for stage in ("train", "evaluate"):
            done = run(stage, "--model", model, cwd=project)
            assert done.returncode == 0, done.stderr
        metrics = json.loads((benchmark / "runs" / model / "metrics.json").read_text())
        assert metrics["trivial"]["all_background"]["f1"] == 0
    pairs = pd.read_parquet(benchmark / "index/pairs.parquet")
    test = pairs[pairs.split == "test"]
    found = json.loads((benchmark / "runs/fc-siam-diff/metrics.json").read_text())
    pixels = found["pixels"]
    assert sum(pixels.values()) == len(test) * 64 * 64 - test.unknown.sum()
    assert pixels["tp"] + pixels["fn"] == test.changed.sum()
    for name in ("scores", "sites"):
        table = pd.read_csv(benchmark / f"runs/fc-siam-diff/{name}.csv")
        assert table[["tp", "fp", "fn", "tn"]].sum().to_dict() == pixels
    counts = pd.read_parquet(benchmark / "runs/fc-siam-diff/counts.parquet")
    assert counts[["tp", "fp", "fn", "tn"]].to_numpy().sum() == sum(pixels.values())
    unet = json.loads((benchmark / "runs/unet/metrics.json").read_text())
    change = unet["post_classification"]["pixels"]
    assert change["tp"] + change["fn"] == test.changed.sum()
    before = {name: held for name, held in contents(benchmark / "runs").items() if "timing" not in name}
    evaluate(benchmark, "unet")
    after = {name: held for name, held in contents(benchmark / "runs").items() if "timing" not in name}
    assert before == after


def test_scores_are_those_of_whole_arrays(project: Path) -> None:
    """The evaluation, once more, by hand: predictions of each pair by itself, all pixels in one array."""
    benchmark = project / "data/tiny"
    train.train(benchmark, "fc-siam-diff", settings_of("fc-siam-diff", loss="bce-dice", learning_rate=0.01))
    result = evaluate(benchmark, "fc-siam-diff", threshold=0.3)
    network, saved = load(benchmark / "runs/fc-siam-diff/model.pt")
    scale = datasets.Scale(np.array(saved["mean"], np.float32), np.array(saved["std"], np.float32))
    pairs = data.open(benchmark, "pairs", "test", scale)
    with torch.no_grad():
        found = [torch.sigmoid(network(item["a"][None], item["b"][None]))[0, 0] for item in pairs]
    p, true = torch.stack(found).numpy(), np.stack([item["label"].numpy() for item in pairs])
    known = true != 255
    predicted, truth = p[known] > 0.3, true[known] == 1
    assert result["pixels"]["tp"] == pytest.approx((predicted & truth).sum(), abs=3)
    assert result["pixels"]["fp"] == pytest.approx((predicted & ~truth).sum(), abs=3)
    assert result["threshold"] == 0.3
    assert result["ap"] == pytest.approx(average_precision_score(truth, p[known]), abs=5e-3)


def test_thresholds_from_validation_and_wrong_ones(project: Path) -> None:
    benchmark = project / "data/tiny"
    train.train(benchmark, "unet", settings_of("unet"))
    chosen = evaluate(benchmark, "unet", threshold="validation")["threshold"]
    on_validation = evaluate(benchmark, "unet", "val", threshold=chosen)
    for other in (0.2, 0.5, 0.8):
        assert on_validation["f1"] >= evaluate(benchmark, "unet", "val", threshold=other)["f1"] - 1e-3
    for path in (benchmark / "cubes").glob("*.zarr"):
        zarr.open_group(path, mode="r+")["mine"][:] = 0
    with pytest.raises(InputError, match="validation split has nothing to find"):
        evaluate(benchmark, "unet", threshold="validation")
    for wrong in ("often", "0", "1.5"):
        with pytest.raises(InputError, match="between 0 and 1, or validation"):
            evaluate(benchmark, "unet", threshold=wrong)
    done = run("evaluate", "--model", "unet", "--threshold", "often", cwd=project)
    assert done.returncode == 2
    assert "between 0 and 1, or validation" in done.stderr


def test_bad_settings_checkpoints_and_labels(project: Path) -> None:
    benchmark = project / "data/tiny"
    for wrong, message in (
        ({"epoch": 3}, "has no setting 'epoch'"),
        ({"steps": "many"}, "train.unet.steps is 'many'; it is a whole number"),
        ({"batch": 0}, "train.unet.batch is 0; it is at least 1"),
        ({"optimiser": "lion"}, "choose one of adam, adamw, sgd"),
        ({"augment": ["spin"]}, "augment has no 'spin'"),
    ):
        with pytest.raises(InputError, match=message):
            Settings.of(wrong, "unet")
    with pytest.raises(WorkError, match="train the model first"):
        load(benchmark / "runs/unet/model.pt")
    (benchmark / "runs/unet").mkdir(parents=True)
    (benchmark / "runs/unet/model.pt").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"cannot be read as a model \(.+\): train it again"):
        load(benchmark / "runs/unet/model.pt")
    torch.save({"weights": {}}, benchmark / "runs/unet/model.pt")
    with pytest.raises(InputError, match="is not a minebench model: train it again"):
        load(benchmark / "runs/unet/model.pt")
    torch.save(
        {"model": "unet", "bands": ["a"], "options": {}, "weights": {}}, benchmark / "runs/unet/model.pt"
    )
    with pytest.raises(InputError, match="is of another version of unet"):
        load(benchmark / "runs/unet/model.pt")
    with pytest.raises(WorkError, match="loss is not a number") as failed:
        train.train(
            benchmark, "unet", settings_of("unet", steps=30, learning_rate=1e30, options={"width": 4})
        )
    listed = json.loads((benchmark / "runs/unet/not_a_number.json").read_text())
    assert "not_a_number.json" in str(failed.value)
    tiles = set(pd.read_parquet(benchmark / "index/tiles.parquet").tile_id)
    assert {item.split()[0] for item in listed["items"]} <= tiles
    for path in (benchmark / "cubes").glob("*.zarr"):
        zarr.open_group(path, mode="r+")["mine"][:] = 0
    assert run("tile", cwd=project).returncode == 0
    done = run("train", "--model", "unet", cwd=project)
    assert done.returncode == 2
    assert "no footprint to learn from" in done.stderr


def test_a_checkpoint_of_another_model_or_of_other_bands(project: Path) -> None:
    benchmark = project / "data/tiny"
    path = train.train(benchmark, "unet", settings_of("unet"))
    (benchmark / "runs/fc-siam-diff").mkdir()
    shutil.copy(path, benchmark / "runs/fc-siam-diff/model.pt")
    done = run("evaluate", "--model", "fc-siam-diff", cwd=project)
    assert done.returncode == 2
    assert "holds unet, not fc-siam-diff" in done.stderr
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "bands": ["B01", *saved["bands"][1:]]}, path)
    done = run("evaluate", "--model", "unet", cwd=project)
    assert done.returncode == 2
    assert "was trained on the bands B01 B03" in done.stderr
    assert "Traceback" not in done.stderr


def test_running_out_of_memory_is_a_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, batch: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(train.Loop, "_step", full)
    with pytest.raises(WorkError, match="batch of 2 items of 32 x 32 pixels: lower batch or crop"):
        train.train(project / "data/tiny", "unet", settings_of("unet"))


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (
            ValueError("Expected more than 1 value per channel when training, got input size [1, 512, 1, 1]"),
            "a batch of 2 is too small for that: raise batch",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error.\nRaise it"),
            r"Bus error.\): give .* more shared memory .* or lower train's threads or batch",
        ),
    ],
)
def test_what_ends_a_step_is_a_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, message: str
) -> None:
    def fails(self: object, batch: object) -> None:
        raise raised

    monkeypatch.setattr(train.Loop, "_step", fails)
    with pytest.raises((InputError, WorkError), match=message):
        train.train(project / "data/tiny", "unet", settings_of("unet"))


def test_what_cannot_go_together_is_a_sentence(project: Path) -> None:
    benchmark = project / "data/tiny"
    for model, given, message in (
        ("insinet", {}, "cannot both be cropped"),
        ("insinet", {"crop": None, "series": True}, "remove `series`"),
        (
            "minenetcd-resnet18",
            {"crop": 20, "weights": None},
            "takes tiles of at least 32 pixels a side, not 20 x 20",
        ),
        ("deeplabv3-mobilevitv2", {"crop": 40, "weights": None}, "multiples of 32 pixels, not 40 x 40"),
        ("cva", {"mode": "frozen"}, None),
        ("cva", {"series": True}, "is fitted to single dates or pairs"),
        ("fc-ef", {"weights": "pretrained"}, "fc-ef has no pretrained weights"),
    ):
        settings = Settings.of({**SETTINGS, **given}, model)
        if message is None:
            train.train(benchmark, model, settings)
            continue
        shutil.rmtree(run_folder(benchmark, model), ignore_errors=True)
        with pytest.raises(InputError, match=message):
            train.train(benchmark, model, settings)


def test_early_stopping_and_what_is_trained(project: Path) -> None:
    benchmark = project / "data/tiny"
    given = {"steps": 40, "validate_every": 1, "patience": 2, "learning_rate": 1e-12}
    path = train.train(benchmark, "unet", settings_of("unet", **given))
    steps = pd.read_csv(path.parent / "live/plots/metrics/loss.tsv", sep="\t").step
    assert len(steps) < 40
    for mode, part in (("frozen", "encoders"), ("head", "head")):
        before = registry.create("unet", in_channels=5, width=4)
        choose_parameters(before, mode)
        trained = {name.split(".")[0] for name, p in before.named_parameters() if p.requires_grad}
        assert trained == ({"head"} if mode == "head" else {"ups", "decoders", "head"}), part
    settings = settings_of("unet", mode="frozen", steps=3)
    torch.manual_seed(settings.seed)
    start = registry.create("unet", in_channels=5, width=4).state_dict()
    end = load(train.train(benchmark, "unet", settings))[1]["weights"]
    changed = {name.split(".")[0] for name in end if not torch.equal(start[name], end[name])}
    # Neither weights nor batch statistics of what is frozen move.
    assert "encoders" not in changed
    assert {"head", "decoders"} <= changed


def test_a_fold_is_trained_and_scored_beside_the_recipes_split(project: Path) -> None:
    folder = project / "data/tiny"
    settings = settings_of("fc-siam-diff", steps=2, fold="country/DEU")
    path = train.train(folder, "fc-siam-diff", settings)
    assert path.parent.name == "fc-siam-diff@country-DEU"
    result = evaluate(folder, "fc-siam-diff", fold="country/DEU")
    tiles, pairs = (pd.read_parquet(folder / f"index/{name}.parquet") for name in ("tiles", "pairs"))
    sites = pd.read_parquet(folder / "index/sites.parquet")
    german = tiles.tile_id[tiles.site_id.isin(sites.site_id[sites.country == "DEU"])]
    own = pairs[pairs.tile_id.isin(german)]
    assert result["fold"] == "country/DEU"
    assert sum(result["pixels"].values()) == 64 * 64 * len(own) - own.unknown.sum()
    assert not (folder / "runs/fc-siam-diff").exists()


def test_two_processes_train_one_model(project: Path) -> None:
    params = (project / "params.yaml").read_text().replace("validation_items: 4,", "validation_items: 3,")
    (project / "params.yaml").write_text(params)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
              "-m", "pipeline.cli", "train", "--model", "unet"]  # fmt: skip
    done = subprocess.run(launch, cwd=project, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    network, _ = load(project / "data/tiny/runs/unet/model.pt")
    assert all(
        torch.isfinite(value).all() for value in network.state_dict().values() if value.is_floating_point()
    )
    steps = pd.read_csv(project / "data/tiny/runs/unet/live/plots/metrics/loss.tsv", sep="\t").step
    assert steps.tolist() == [2, 4]


def test_the_same_training_gives_the_same_bytes(project: Path) -> None:
    found = []
    for _ in range(2):
        shutil.rmtree(project / "data/tiny/runs", ignore_errors=True)
        assert run("train", "--model", "unet", cwd=project).returncode == 0
        folder = project / "data/tiny/runs/unet"
        found.append([(folder / name).read_bytes() for name in ("model.pt", "run.json")])
    assert found[0] == found[1]


def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path: Path) -> None:
    network = registry.create("unet", in_channels=3, width=4)
    optimiser = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser)
    first = Checkpoint(tmp_path / "c.pt", "one", network, optimiser, schedule)
    first.step = 7
    first.note(0.5)
    for key, step in (("one", 7), ("two", 0)):
        second = Checkpoint(tmp_path / "c.pt", key, network, optimiser, schedule)
        second.resume(torch.device("cpu"))
        assert second.step == step
