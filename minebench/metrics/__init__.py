"""Metrics of masks and probabilities: confusion and scores, thresholds, change activity."""
