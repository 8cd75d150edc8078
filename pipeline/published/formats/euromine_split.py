"""The official split of EuroMineNet by the names of its sites' folders.

From datasets/train_val_test_splits.py of github.com/AI4RS/EuroMineNet: 132 sites, of which 101 are for
training, 14 for validation and 17 for the test. Numbers of sites by country; its Germany_13 stands there
twice, and Greece_3, Hungary_3, Poland_16, Spain_4 and Sweden_6 in no split.
"""

NUMBERS: dict[str, dict[str, tuple[int, ...]]] = {
    "train": {
        "Austria": (1,),
        "Bulgaria": (2, 4, 5, 6, 7, 9, 10, 11, 13, 14, 15, 16, 17, 18),
        "Czechia": (1, 3),
        "Finland": (1, 2, 4),
        "Germany": (1, 3, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16),
        "Greece": (1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 13),
        "Hungary": (1, 2, 5, 6),
        "Italy": (1, 3),
        "Poland": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17),
        "Portuga": (2, 3, 4, 5, 6),
        "Romania": (1, 2, 3, 5, 7, 8, 9, 11, 12),
        "Slovakia": (2,),
        "Spain": (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20),
        "Sweden": (5, 8, 9),
    },
    "val": {
        "Bulgaria": (3, 12),
        "Czechia": (2,),
        "Finland": (7,),
        "Germany": (6, 9),
        "Greece": (10,),
        "Hungary": (4, 7),
        "Poland": (18,),
        "Portuga": (1,),
        "Romania": (4,),
        "Sweden": (2, 3),
    },
    "test": {
        "Bulgaria": (1, 8),
        "Czechia": (4,),
        "Finland": (3, 5, 6),
        "Germany": (2, 4),
        "Hungary": (8,),
        "Italy": (2,),
        "Poland": (15,),
        "Romania": (6, 10),
        "Slovakia": (1,),
        "Sweden": (1, 4, 7),
    },
}  # fmt: skip
"""Portugal is spelt Portuga, as its folders are."""
SPLITS = {
    f"{country}_{number}": split
    for split, countries in NUMBERS.items()
    for country, numbers in countries.items()
    for number in numbers
}
"""Split of each site."""
