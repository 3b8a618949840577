"""Predictors shared by all visitors, admission, and the functions behind the API."""
