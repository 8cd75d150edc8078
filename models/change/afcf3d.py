"""AFCF3D-Net (Ye, Wang, Zhou, Guan, Chen and Li 2023, doi 10.1109/TGRS.2023.3300317, figures 2 to 6): both dates are
two frames of a film, through a ResNet-18 whose convolutions also look from one date to the other, neighbouring
levels fused, and a decoder that joins all levels at each size along time.

`channels`: of the levels behind the backbone, 32 in the code.
"""

import re
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model, Names
from models.layers.attention import CoordinateAttention
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (wm-Githuber/AFCF3D-Net)",
    {"optimiser": "adam", "learning_rate": 1e-4, "weight_decay": 1e-4, "schedule": "cosine", "batch": 8,
     "loss": "bce-dice", "epochs": 100, "weights": "pretrained"},
)  # fmt: skip
