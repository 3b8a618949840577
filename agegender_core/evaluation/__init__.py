"""Evaluation: metrics with intervals, slices, calibration on validation splits, reports."""
