"""params.yaml: a schema like the recipe's."""

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from minebench.errors import InputError
from models.training.settings import Settings, given_for
from pipeline import params
from tests.conftest import PARAMS, ROOT
from tests.e2e.test_mutated_recipes import VALUES, places


def loaded(folder: Path, text: str | bytes) -> params.Params:
    path = folder / "params.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return params.load(path)


@pytest.mark.parametrize("path", [ROOT / "params.yaml", ROOT / "catalogs/romania/params.yaml"], ids=str)
def test_the_files_of_the_repository_fit(path: Path) -> None:
    assert params.load(path).train


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"benchmarks: demo", r"params\.yaml: benchmarks: Input should be a valid list\."),
        (b"benchmarks: [a]\nworkers: two", r"params\.yaml: workers: Input should be a valid integer\."),
        (b"benchmarks: [a]\nworkers:", r"params\.yaml: workers: Input should be a valid integer\."),
        (b"benchmarks: [a]\nworkers: 0", "workers: Input should be greater than or equal to 1"),
        (b"benchmarks: [a]\nworkers: -1", "workers: Input should be greater than or equal to 1"),
        (b"benchmarks: [a]\nworkers: true", "workers: Input should be a valid integer"),
        (b"benchmarks: [a]\nworkerz: 2", "workerz: no such field; remove it or correct its spelling"),
        (b"benchmarks: [a]\ntrain: [unet]", "train: Input should be a valid dictionary"),
        (b"benchmarks: [a]\ntrain: {unet: 5}", r"train\.unet: Input should be a valid dictionary"),
        (b"benchmarks: [a]\nevaluate: 0.5", "evaluate: Input should be a valid dictionary"),
        (b"benchmarks: [a]\nevaluate: {threshold: 2}", r"evaluate\.threshold.*less than or equal to 1"),
        (b"benchmarks: [a]\nevaluate: {treshold: 0.5}", r"evaluate\.treshold: no such field"),
        (b"benchmarks: [a]\nmodels: [unett]", r"params\.yaml: There is no model 'unett'; did you mean unet"),
        (b"benchmarks: [a]\ntrain: {unett: {}}", r"params\.yaml: There is no model 'unett'"),
        (b"benchmarks: [a]\ntrain: {unet: {stepz: 1}}", r"params\.yaml: train\.unet has no setting 'stepz'"),
        (b"benchmarks: [a]\ntrain: {unet: {steps: x}}", r"train\.unet\.steps is 'x'; it is a whole number"),
        (b"benchmarks: [a]\ntrain: {unet: {steps: 0}}", r"train\.unet\.steps is 0; it is at least 1"),
        (b"benchmarks: [a]\ntrain: {unet: {loss: x}}", r"train\.unet\.loss is 'x'; choose one of bce, "),
        (b"benchmarks: [\xff]", "is not text in UTF-8"),
        (b"a: [\n", r"params\.yaml line 2 is not valid YAML"),
        (b"benchmarks: []", "must list at least one name under benchmarks"),
        (b"5", "must list at least one name under benchmarks"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_file_and_key(text: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says) as caught:
        loaded(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_empty_sections_are_none(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "benchmarks: [a]\ntrain:\nevaluate:\nmodels:\n")
    assert settings == params.Params(benchmarks=["a"])


def test_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"There is no params\.yaml here: run minebench from"):
        params.load()


def mutated(seed: int) -> dict[str, Any]:
    """The tiny project's settings with one to three values replaced, removed or added."""
    rng = random.Random(seed)
    content = yaml.safe_load(PARAMS)
    content["train"]["unet"] |= {"augment": ["flip"], "betas": [0.9, 0.99], "clip": 1.0, "seed": 1}
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(places(content))
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        if rng.random() < 0.1 and isinstance(holder, dict):
            holder[rng.choice(["x", "", "steps", "workers", 5])] = copy.deepcopy(rng.choice(VALUES))
        else:
            holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
    return content


def test_anything_fits_or_is_refused_in_one_sentence(tmp_path: Path) -> None:
    refused: list[str] = []
    for seed in range(500):
        try:
            settings = loaded(tmp_path, yaml.safe_dump(mutated(seed)))
            for model in ("unet", "fc-siam-diff", "cva"):
                Settings.of(given_for(model, settings.train), model)
        except InputError as error:
            refused.append(str(error))
    assert 200 < len(refused) < 500
    assert [text for text in refused if "\n" in text or not text.endswith(".")] == []
