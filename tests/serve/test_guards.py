"""Each of these fails if its guard is taken out of `Guard`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from time import monotonic

import pytest
from starlette.datastructures import Headers

from acne_edge.serve import desk
from acne_edge.serve.guards import POLICY, limited
from acne_edge.serve.problems import Problem
from acne_edge.serve.settings import Settings, is_loopback, own_names
from tests.serve.conftest import TOKEN, Client, Serve, rows, wait_for

PHOTOGRAPHS = "/study/photographs"


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:8642", "[::1]:8642", "192.168.1.7"])
def test_its_own_names_and_addresses_are_answered(plain: Client, host: str) -> None:
    assert plain.get("/study", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "localhost.evil.example", "127.0.0.1.evil.example", "[::1"]
)
def test_a_name_that_was_made_to_point_here_is_refused(plain: Client, host: str) -> None:
    answer = plain.get("/study", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "unknown_host")


def test_a_server_in_a_network_is_called_by_the_names_that_it_is_given() -> None:
    names = own_names("0.0.0.0", ("Clinic.Example",))
    assert {"localhost", "clinic.example"} <= names
    assert "evil.example" not in names


@pytest.mark.parametrize(
    ("host", "own"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("0.0.0.0", False), ("a.b", False)]
)
def test_addresses_of_this_machine_alone_are_known(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:9999", "null"])
@pytest.mark.parametrize("path", ["/v1/predictions", PHOTOGRAPHS])
def test_a_post_by_a_page_of_another_site_is_refused(plain: Client, jpeg: bytes, origin: str, path: str) -> None:
    client = plain
    assert client.post(path, content=jpeg, headers={"Origin": origin}).status_code == 403
    assert client.get("/study/changes").json()["rows"] == []


def test_a_post_by_its_own_page_is_answered(plain: Client, jpeg: bytes) -> None:
    client = plain
    own = str(client.base_url).rstrip("/")
    assert client.post("/v1/predictions", content=jpeg, headers={"Origin": own}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_read_or_embed(plain: Client, site: str) -> None:
    client = plain
    asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/study", headers=asked).status_code == 403
    followed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/study", "/study/changes", "/v1/models", "/metrics", "/page/js/main.js", "/openapi.json", "/none"]
)
def test_nothing_is_shown_without_the_token(stranger: Client, path: str) -> None:
    client = stranger
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Cookie": "acne_edge_80=wrong"}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_health_is_told_without_the_token(stranger: Client) -> None:
    client = stranger
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_the_token_in_the_address_becomes_a_cookie(stranger: Client) -> None:
    client = stranger
    answer = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/study").status_code == 200


def test_a_wrong_token_in_the_address_is_refused(stranger: Client) -> None:
    assert stranger.get("/?token=wrong").status_code == 401


def test_a_person_without_the_token_is_told_what_to_do(stranger: Client) -> None:
    answer = stranger.get("/", headers={"Accept": "text/html"})
    assert "address that acne-edge printed" in answer.text


def test_a_server_without_a_token_asks_for_none(serve: Serve) -> None:
    client = serve(token=None)
    del client.headers["Authorization"]
    assert client.get("/study").status_code == 200


def test_a_body_that_is_too_large_is_refused(serve: Serve, jpeg: bytes) -> None:
    client = serve(max_bytes=len(jpeg) - 1)
    for path in ("/v1/predictions", PHOTOGRAPHS):
        assert client.post(path, content=jpeg).status_code == 413
        assert client.post(path, content=iter([jpeg[:100], jpeg[100:]])).status_code == 413  # without a declared length
        assert client.post(path, files={"file": jpeg}).status_code == 413
    assert serve(max_bytes=len(jpeg)).post("/v1/predictions", content=jpeg).status_code == 200


def test_a_body_that_says_that_it_is_too_large_is_not_asked_for(plain: Client) -> None:
    with socket.create_connection(("127.0.0.1", plain.base_url.port or 0), timeout=10) as connection:
        head = f"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 10000000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_json_may_not_be_as_large_as_a_photograph(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    answer = client.put(f"{PHOTOGRAPHS}/{number}/reading", content=b" " * 2_000_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def never() -> dict:
        await asyncio.sleep(60)
        raise AssertionError

    wrapped = limited(never, Headers({}), Settings(timeout=0.05))
    begin = monotonic()
    with pytest.raises(Problem) as caught:
        asyncio.run(wrapped())  # type: ignore[arg-type]
    assert monotonic() - begin < 2
    assert caught.value.status_code == 408


def test_the_page_may_load_nothing_from_elsewhere(plain: Client) -> None:
    client = plain
    for path in ("/", "/docs", "/study", "/none", "/page/js/main.js"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


@pytest.mark.parametrize(
    "path",
    [
        "../a.jpg",
        "..%2fa.jpg",
        "%2e%2e/%2e%2e/store.py",
        "js/../../store.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "js%2f..%2f..%2fapp.py",
    ],
)
def test_no_file_but_the_pages_is_served(plain: Client, path: str) -> None:
    assert plain.get(f"/page/{path}").status_code == 404


@pytest.mark.parametrize("number", ["..%2fa", "a.jpg", "-1", "99999", "1%00", "99999999999999999999"])
def test_a_photograph_is_asked_for_by_its_number_alone(serve: Serve, folder: Path, number: str) -> None:
    assert serve(folder).get(f"{PHOTOGRAPHS}/{number}/picture").status_code in (404, 422)


def test_a_link_out_of_the_folder_is_not_followed(serve: Serve, folder: Path, jpeg: bytes) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(jpeg)
    (folder / "link.jpg").symlink_to(outside / "secret.jpg")
    (folder / "door").symlink_to(outside)
    (folder / "same.jpg").symlink_to(folder / "a.jpg")  # one inside is no second photograph
    client = serve(folder)
    found = rows(client, 4)
    (name,) = set(found) - {"a.jpg", "b.jpg", "below/c.jpg"}
    assert (found[name]["state"], found[name]["error"]) == ("failed", "image_error")
    assert client.get(f"{PHOTOGRAPHS}/{found[name]['id']}/picture").status_code == 422


def test_a_photograph_that_becomes_a_link_is_not_followed_either(serve: Serve, folder: Path, jpeg: bytes) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    secret = folder.parent / "secret.jpg"
    secret.write_bytes(jpeg)
    (folder / "a.jpg").unlink()
    (folder / "a.jpg").symlink_to(secret)
    assert client.get(f"{PHOTOGRAPHS}/{number}/picture").status_code == 422


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("../../up.jpg", "up.jpg"), ("..%2F..%2Fup.jpg", "up.jpg"), ("/etc/up.jpg", "up.jpg"), ("c:\\x\\up.jpg", "up.jpg"),
        (".hidden.jpg", "hidden.jpg"), ("a\nb.jpg", "a_b.jpg"), ("", "photograph.jpg"), ("..", "photograph.jpg"),
        ("script.html", "script.html.jpg"), ("x" * 500 + ".jpeg", "x" * 120 + ".jpeg"), ("脸.JPG", "脸.JPG"),
    ],
)  # fmt: skip
def test_a_photograph_that_is_added_stays_in_the_folder(serve: Serve, folder: Path, jpeg: bytes, name: str, written: str) -> None:
    before = set(folder.parent.rglob("*"))
    answer = serve(folder).post(PHOTOGRAPHS, params={"name": name}, content=jpeg)
    assert answer.status_code == 200
    written_now = set(folder.parent.rglob("*")) - before
    assert {path for path in written_now if not path.name.startswith("acne-edge.sqlite")} == {folder / written}


def test_the_log_tells_nothing_of_photographs(
    serve: Serve, folder: Path, jpeg: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]

    def fail(*_: object) -> None:
        raise ValueError("a.jpg: of Mrs Miller, " + repr(jpeg[:10]))

    monkeypatch.setattr(desk, "_render", fail)
    monkeypatch.setattr(client.study.engine.grader, "predict", fail)
    (folder / "Miller.jpg").write_bytes(jpeg)
    answer = client.get(f"{PHOTOGRAPHS}/{number}/picture")
    assert answer.status_code == 500
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "Miller" not in answer.text
    wait_for(lambda: "could not be predicted" in caplog.text)
    assert "ValueError" in caplog.text
    assert "Miller" not in caplog.text
    assert "xff" not in caplog.text


def test_pictures_hold_nothing_of_the_cameras_remarks(serve: Serve, tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = "Mrs Miller"
    exif[0x8825] = {1: "N", 2: (47.0, 0.0, 0.0)}
    picture = Image.new("RGB", (320, 240), (200, 150, 130))
    picture.save(tmp_path / "a.jpg", exif=exif)
    client = serve(tmp_path)
    number = rows(client, 1)["a.jpg"]["id"]
    for size in ("picture", "thumbnail"):
        data = client.get(f"{PHOTOGRAPHS}/{number}/{size}").content
        assert data.startswith(b"\xff\xd8")
        assert b"Miller" not in data
        assert b"Exif" not in data


def test_a_photograph_is_never_written_elsewhere(
    serve: Serve, jpeg: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even while a form is read: its parser would put larger files on the disk."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def rolled_over(*_: object) -> None:
        raise AssertionError("a form was written to the disk")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", rolled_over)
    large = jpeg + bytes(3_000_000)  # what stands behind the end of a JPEG does no harm
    assert serve().post("/v1/predictions", files={"file": ("a.jpg", large)}).status_code == 200
    assert os.listdir(tmp_path) == []
