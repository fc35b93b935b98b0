import hashlib
import io
from email.message import Message
from urllib.error import URLError

import pytest

from kinema.backbones import download as module
from kinema.backbones import x3d_s
from kinema.backbones.download import download
from kinema.errors import InputError

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(tmp_path):
    path = tmp_path / "there" / "X3D_S.pyth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path.as_uri()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_a_file_is_fetched_once_with_a_progress_bar(url, cache, capsys, monkeypatch):
    path = download(url, sha256=SHA256, folder=cache)
    assert path == cache / "X3D_S.pyth"
    assert path.read_bytes() == CONTENT
    assert "X3D_S.pyth: 100%" in capsys.readouterr().err
    monkeypatch.setattr(module, "urlopen", None)
    assert download(url, sha256=SHA256, folder=cache) == path
    assert capsys.readouterr().err == ""


def test_another_hash_is_refused_and_leaves_nothing(url, cache):
    with pytest.raises(InputError, match=f"has sha256 {SHA256}; expected 00"):
        download(url, sha256="00", folder=cache)
    assert list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_refused(url, cache):
    path = download(url, sha256=SHA256, folder=cache)
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="delete it and fetch it again"):
        download(url, sha256=SHA256, folder=cache)


def test_the_hash_found_is_logged_where_none_is_known(url, cache, caplog):
    with caplog.at_level("INFO"):
        download(url, folder=cache)
    assert SHA256 in caplog.text


def test_a_failing_network_is_one_sentence_with_the_url_and_a_way_out(
    monkeypatch, tmp_path, capsys
):
    def unreachable(url, timeout):
        raise URLError("no route")

    monkeypatch.setattr(module, "urlopen", unreachable)
    monkeypatch.setattr(module.torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match=r"cannot download https://.*/X3D_S.pyth") as refusal:
        x3d_s(weights="k400")
    assert "give its path as weights" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_connection_that_ends_early_is_refused(monkeypatch, cache):
    response = io.BytesIO(CONTENT)
    response.headers = Message()
    response.headers["Content-Length"] = "7001"
    monkeypatch.setattr(module, "urlopen", lambda url, timeout: response)
    with pytest.raises(InputError, match="7000 of 7001 bytes arrived"):
        download("https://example.org/a.pyth", folder=cache)
    assert list(cache.iterdir()) == []
