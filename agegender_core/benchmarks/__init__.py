"""Measured times, memory and baselines."""
