"""Labelled faces: records, readers, and aligned crops for training."""

from agegender_core.datasets.parquet_store import data_dir, iter_images, read_records, read_row
from agegender_core.datasets.records import FaceRecord, labelled_targets

__all__ = ["FaceRecord", "data_dir", "iter_images", "labelled_targets", "read_records", "read_row"]
