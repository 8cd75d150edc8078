"""Settings of a training of a few steps, with small networks."""

from models.training.settings import Settings

SETTINGS = {"steps": 6, "batch": 2, "crop": 32, "validate_every": 2, "validation_items": 4}
SMALL = {"fc-siam-diff": {"width": 4}, "unet": {"width": 4}, "tinycd": {}}


def settings_of(model: str, **given: object) -> Settings:
    return Settings.of({**SETTINGS, "options": SMALL.get(model, {}), **given}, model)
