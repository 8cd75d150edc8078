"""Training settings that several models share."""

EUROMINENET = {
    "optimiser": "adam",
    "learning_rate": 1e-4,
    "lowest_rate": 1e-7,
    "batch": 32,
    "loss": "cross-entropy",
}
"""As EuroMineNet trains all of its models (Yu et al. 2025); 32 a process."""
