"""Data sets of labelled clips: official lists read as they are, decoding, loading."""

from kinema.datasets.augmentation import Augmentation, augmentation
from kinema.datasets.clip_dataset import BrokenClipError, ClipDataset, Item
from kinema.datasets.clips import Clip, ClipList
from kinema.datasets.finegym import finegym, parse_finegym, parse_finegym_times
from kinema.datasets.folder import folder
from kinema.datasets.hmdb51 import hmdb51, parse_hmdb51
from kinema.datasets.loading import ClipLoader, collate, loader
from kinema.datasets.mpii_cooking2 import mpii_cooking2, parse_mpii_cooking2
from kinema.datasets.sprites_actions import NUISANCES, SpritesActions
from kinema.datasets.table import csv
from kinema.datasets.ucf101 import parse_ucf101, ucf101
from kinema.datasets.ucf_crime import (
    Anomaly,
    parse_ucf_crime,
    parse_ucf_crime_detection,
    ucf_crime,
    ucf_crime_anomalies,
)
from kinema.datasets.ut_interaction import ut_interaction
from kinema.datasets.video_dataset import VideoDataset

__all__ = [
    "NUISANCES",
    "Anomaly",
    "Augmentation",
    "BrokenClipError",
    "Clip",
    "ClipDataset",
    "ClipList",
    "ClipLoader",
    "Item",
    "SpritesActions",
    "VideoDataset",
    "augmentation",
    "collate",
    "csv",
    "finegym",
    "folder",
    "hmdb51",
    "loader",
    "mpii_cooking2",
    "parse_finegym",
    "parse_finegym_times",
    "parse_hmdb51",
    "parse_mpii_cooking2",
    "parse_ucf101",
    "parse_ucf_crime",
    "parse_ucf_crime_detection",
    "ucf101",
    "ucf_crime",
    "ucf_crime_anomalies",
    "ut_interaction",
]
