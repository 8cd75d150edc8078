"""A folder of a user's own images, read by their names and contents, for the commands `new` and `stac`."""
