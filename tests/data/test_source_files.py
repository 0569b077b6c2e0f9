"""Source files: where they are looked for, downloads from a server of this test, and what is said when something is wrong."""

import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from latentbench.data.source_files import Source
from latentbench.errors import UserError

CONTENT = b"pixels" * 100
MD5 = hashlib.md5(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture
def home(tmp_path):
    """The address of a server for a folder, and the folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()


@pytest.fixture(autouse=True)
def _no_data(monkeypatch):
    monkeypatch.delenv("LATENTBENCH_DATA", raising=False)


def source(url="http://127.0.0.1:9/x.bin", md5=MD5, **forms):
    return Source(forms or {"set/x.bin": Path.read_bytes}, md5, url)


def test_a_file_is_found_where_the_variable_says(tmp_path, monkeypatch):
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "data" / "set" / "x.bin").write_bytes(CONTENT)
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path / "data"))
    assert source().read(tmp_path / "cache") == CONTENT


def test_a_file_is_checked_by_the_hash_that_is_published(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.bin").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    right = Source({"x.bin": Path.read_bytes}, url="http://127.0.0.1:9/x.bin", sha256=digest)
    assert right.digest == digest
    assert right.read(tmp_path) == CONTENT
    with pytest.raises(UserError, match=f"the sha256 of its content is {digest}, expected 00"):
        Source({"x.bin": Path.read_bytes}, url="http://127.0.0.1:9/x.bin", sha256="00").read(tmp_path)


@pytest.mark.parametrize("hashes", [{}, {"md5": "1", "sha256": "2"}])
def test_a_source_has_one_hash(hashes):
    with pytest.raises(ValueError, match=r"x\.bin: give its md5 or its sha256"):
        Source({"x.bin": Path.read_bytes}, url="http://127.0.0.1:9/x.bin", **hashes)


def test_other_forms_of_a_file_serve_too(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.hex").write_text(CONTENT.hex())
    forms = {"x.bin": Path.read_bytes, "x.hex": lambda path: bytes.fromhex(path.read_text())}
    found = Source(forms, MD5, "http://127.0.0.1:9/x.bin")
    assert found.read(tmp_path) == CONTENT
    assert found.find(tmp_path) == tmp_path / "data" / "x.hex"


def test_a_missing_file_is_downloaded_once_into_the_cache(tmp_path, home):
    url, folder = home
    (folder / "x.bin").write_bytes(CONTENT)
    wanted = source(f"{url}/x.bin")
    assert wanted.read(tmp_path) == CONTENT
    (folder / "x.bin").unlink()
    assert wanted.read(tmp_path) == CONTENT
    assert (tmp_path / "data" / "set" / "x.bin").is_file()
    assert not any((tmp_path / "data" / "downloads").iterdir())


def test_an_archive_is_unpacked_into_the_cache(tmp_path, home):
    url, folder = home
    with tarfile.open(folder / "all.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("set/x.bin")
        info.size = len(CONTENT)
        archive.addfile(info, io.BytesIO(CONTENT))
    assert source(f"{url}/all.tar.gz").read(tmp_path) == CONTENT


def test_a_download_that_is_not_the_published_file_is_refused(tmp_path, home):
    url, folder = home
    (folder / "x.bin").write_bytes(b"something else")
    with pytest.raises(UserError, match=rf"x\.bin is not the published file: the md5 of its content is \w+, expected {MD5}"):
        source(f"{url}/x.bin").read(tmp_path)


def test_without_a_network_one_message_says_what_is_missing_and_where_to_put_it(tmp_path):
    with pytest.raises(UserError) as caught:
        source().read(tmp_path)
    message = str(caught.value)
    assert all(
        part in message for part in ("set/x.bin", MD5, "http://127.0.0.1:9/x.bin", str(tmp_path / "data" / "set" / "x.bin"), "LATENTBENCH_DATA")
    )
    assert "\n" not in message


def test_a_variable_that_names_no_folder_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"LATENTBENCH_DATA=.*nowhere is not a folder"):
        source().find(tmp_path)
