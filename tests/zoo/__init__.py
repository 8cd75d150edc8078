"""Tests that every network of the registry must pass. Each is built for real, so they take minutes in all."""
