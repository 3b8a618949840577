"""Stands between the callers and the front ends. What it promises, and how each promise is tested,
is in ``docs/security.md``.
"""
