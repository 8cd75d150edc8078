"""The format of cubes: arrays, encoding of pixels, windows and labels."""
