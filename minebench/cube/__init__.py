"""The cube's format: what its arrays are, how their numbers are held, and windows and labels of it."""
