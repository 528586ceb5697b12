"""Reads ACNE04 as it is distributed: lists, lesion boxes, groups, splits that keep groups whole, and pixels."""

from acne_edge.training.data.acne04 import content_hash, image_sources, read_samples, write_list
from acne_edge.training.data.boxes import read_boxes_csv
from acne_edge.training.data.own import is_own, read_own, strata
from acne_edge.training.data.photographs import load_images, noise_filter, read_photograph
from acne_edge.training.data.sample import Sample
from acne_edge.training.data.splits import (
    group_ids,
    grouped_folds,
    grouped_split,
    read_groups,
    read_pairs,
    split,
    write_groups,
)

__all__ = [
    "Sample",
    "content_hash",
    "group_ids",
    "grouped_folds",
    "grouped_split",
    "image_sources",
    "is_own",
    "load_images",
    "noise_filter",
    "read_boxes_csv",
    "read_groups",
    "read_own",
    "read_pairs",
    "read_photograph",
    "read_samples",
    "split",
    "strata",
    "write_groups",
    "write_list",
]
