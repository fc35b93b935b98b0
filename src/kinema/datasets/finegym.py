"""FineGym: elements of gymnastics, Gym99 and Gym288, from cut clips or from whole broadcasts.

Shao et al., "FineGym: a hierarchical video dataset for fine-grained action understanding",
CVPR 2020.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from kinema.datasets.clips import Clip, ClipList, Require, on_disk, require_one_of
from kinema.datasets.official import annotation_folder, lines_of
from kinema.errors import InputError

SOURCE = "https://sdolivia.github.io/FineGym/"

# Video identifiers are 11 characters that may be underscores themselves.
_ELEMENT = re.compile(r"(?P<video>.{11})_(?P<event>E_\d{6}_\d{6})_(?P<segment>A_\d{4}_\d{4})")
_CATEGORY = re.compile(r"Clabel:\s*(\d+); set:\s*(\d+); Glabel:\s*\d+; (?:\(\w+\) )?(.+)")
_SET = re.compile(r"set:\s*(\d+); (.+)")
_BROADCAST_SUFFIXES = (".mp4", ".mkv", ".webm")


def finegym(
    root: str | Path,
    *,
    annotations: str | Path | None = None,
    classes: Literal[99, 288] = 99,
    version: Literal["1.1", "1.0"] = "1.1",
    subset: Literal["train", "val"],
    require: Require = "some",
) -> ClipList:
    """List the elements of a subset of Gym99 or Gym288.

    An element is taken from the cut clip `<full id>.mp4` where there is one, and otherwise from
    the whole broadcast `<video id>.mp4` (.mkv, .webm), with its times from
    `finegym_annotation_info_v<version>.json`. Cut clips load far faster: to find a part of a
    broadcast means to read through all of its packets.

    Args:
        root: folder of cut clips, of broadcasts, or of both.
        annotations: folder of the lists and of the JSON; by default `annotations` below `root`.
        classes: 99 or 288.
        version: of the list to train on; the one to validate on has one version.
        subset: "train" or "val".
        require: "all" refuses a missing video, "some" names them in `missing`.

    Raises:
        InputError: annotations or videos are missing, a broadcast's element has no times, or an
            argument is out of range.
    """
    root = Path(root)
    folder = annotation_folder(annotations, root, ("annotations",), source=SOURCE)
    official = parse_finegym(folder, classes=classes, version=version, subset=subset)
    info = folder / f"finegym_annotation_info_v{version}.json"
    times = parse_finegym_times(info) if info.is_file() else None

    def candidates(clip: Clip) -> Iterator[Clip]:
        yield replace(clip, path=root / clip.path)
        video = clip.name[:11]
        for suffix in _BROADCAST_SUFFIXES:
            broadcast = root / f"{video}{suffix}"
            if not broadcast.is_file():
                continue
            if times is None:
                raise InputError(
                    f"{broadcast} is a whole broadcast and {info} with the times of its elements "
                    f"does not exist; get it from {SOURCE}, or cut the clips"
                )
            if clip.name not in times:
                raise InputError(
                    f"{info} has no times for the element {clip.name}; give the version that "
                    "belongs to the list"
                )
            start, end = times[clip.name]
            yield replace(clip, path=broadcast, start=start, end=end)

    return on_disk(official, candidates, root=root, require=require, source=SOURCE)


def parse_finegym(
    annotations: str | Path,
    *,
    classes: Literal[99, 288] = 99,
    version: Literal["1.1", "1.0"] = "1.1",
    subset: Literal["train", "val"],
) -> ClipList:
    """Read the official list of elements; paths are `<full id>.mp4`.

    Raises:
        InputError: a list is missing or not of the official form, or an argument out of range.
    """
    require_one_of("classes", classes, (99, 288))
    require_one_of("version", version, ("1.1", "1.0"))
    require_one_of("subset", subset, ("train", "val"))
    ending = f"_v{version}" if subset == "train" else ""
    path = Path(annotations) / f"gym{classes}_{subset}_element{ending}.txt"
    clips = []
    for line in lines_of(path, source=SOURCE):
        name, _, label = line.rpartition(" ")
        if not _ELEMENT.fullmatch(name) or not label.isdecimal():
            raise InputError(
                f"{path} has the line {line!r}, expected an element such as "
                "A0xAXXysHUo_E_002184_002237_A_0035_0036 and its label; get the official file again"
            )
        clips.append(Clip(Path(f"{name}.mp4"), int(label), name))
    title = f"Gym{classes} v{version} {subset}" if subset == "train" else f"Gym{classes} {subset}"
    return ClipList(title, _class_names(Path(annotations), classes), tuple(clips))


def parse_finegym_times(path: str | Path) -> dict[str, tuple[float, float]]:
    """Read start and end of every element from the JSON, in seconds of the broadcast.

    Segments count from the start of their event. A vault has three stages, and lasts from the
    start of the first to the end of the last. Events without segments (`null`) give nothing.
    The integers inside an element's name are rounded, often to the same second.

    Raises:
        InputError: the file is missing or not of the official form.
    """
    try:
        info: dict[str, dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))
        times = {}
        for video, events in info.items():
            for event, facts in events.items():
                origin = float(facts["timestamps"][0][0])
                for segment, stages in (facts["segments"] or {}).items():
                    first, last = stages["timestamps"][0], stages["timestamps"][-1]
                    name = f"{video}_{event}_{segment}"
                    times[name] = origin + float(first[0]), origin + float(last[1])
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; get it from {SOURCE}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path} is not an annotation file of FineGym ({type(error).__name__}: {error}); get "
            f"it again from {SOURCE}"
        ) from error
    return times


def _class_names(annotations: Path, classes: int) -> tuple[str, ...]:
    """Names such as "BB_dismounts: salto backward tucked": some elements are in two sets."""
    sets_path = annotations / "set_categories.txt"
    sets: dict[str, str] = {}
    for line in lines_of(sets_path, source=SOURCE):
        if match := _SET.match(line):
            sets[match[1]] = match[2]
    path = annotations / f"gym{classes}_categories.txt"
    names: dict[int, str] = {}
    for line in lines_of(path, source=SOURCE):
        match = _CATEGORY.fullmatch(line)
        if match is None or match[2] not in sets:
            raise InputError(
                f"{path} has the line {line!r}, expected a category of FineGym whose set is in "
                f"{sets_path.name}; get the official files again"
            )
        names[int(match[1])] = f"{sets[match[2]]}: {match[3]}"
    if sorted(names) != list(range(classes)):
        raise InputError(
            f"{path} names {len(names)} classes, expected {classes}; get the official file again"
        )
    return tuple(names[label] for label in range(classes))
