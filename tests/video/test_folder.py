import pytest

from kinema.errors import InputError
from kinema.video import find_videos


def test_videos_are_found_in_subfolders_and_sorted_as_people_count(tmp_path):
    for name in ["clip10.mp4", "clip2.MP4", "b/clip1.avi", "notes.txt", ".hidden.mp4", ".x/a.mp4"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)]
    assert found == ["b/clip1.avi", "clip2.MP4", "clip10.mp4"]


def test_a_file_stands_for_itself_whatever_its_suffix(tmp_path):
    path = tmp_path / "clip.video"
    path.touch()
    assert find_videos(path) == [path]


def test_a_folder_without_videos_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="hold no video"):
        find_videos(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_videos(tmp_path / "none")
