"""Answers as files: tables, drawn boxes, attention maps, Markdown."""
