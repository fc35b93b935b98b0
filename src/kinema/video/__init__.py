"""Clips in and out: decode, choose frames, encode, overlay, contact sheet."""

from kinema.video.clip import Clip
from kinema.video.decode import read_video
from kinema.video.encode import gif_rate, write_video
from kinema.video.folder import VIDEO_SUFFIXES, find_videos
from kinema.video.images import read_images
from kinema.video.overlay import colour_map, overlay_heat_map
from kinema.video.packets import count_frames
from kinema.video.probe import VideoInfo, probe
from kinema.video.sampling import dense_views, strided_indices, uniform_indices
from kinema.video.sheet import contact_sheet, write_image

__all__ = [
    "VIDEO_SUFFIXES",
    "Clip",
    "VideoInfo",
    "colour_map",
    "contact_sheet",
    "count_frames",
    "dense_views",
    "find_videos",
    "gif_rate",
    "overlay_heat_map",
    "probe",
    "read_images",
    "read_video",
    "strided_indices",
    "uniform_indices",
    "write_image",
    "write_video",
]
