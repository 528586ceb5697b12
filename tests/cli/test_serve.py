"""`acne-edge serve` as a process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import httpx

from tests.cli.conftest import Run

TOKEN = "a-token-of-the-tests"


class Server:
    """A server that is running, and the address that it printed."""

    def __init__(self, *arguments: object, token: str | None = TOKEN) -> None:
        environment = {**os.environ, **({"ACNE_EDGE_TOKEN": token} if token else {})}
        if token is None:
            environment.pop("ACNE_EDGE_TOKEN", None)
        command = [sys.executable, "-m", "acne_edge", "serve", "--port", "0", *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code, and what it wrote to stderr."""
        self.process.send_signal(number)
        err = self.process.communicate(timeout=60)[1]
        return self.process.returncode, err


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Those that a test has started and not ended."""
    started: list[Server] = []
    yield started
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def test_the_address_that_is_printed_lets_in_and_a_signal_ends_well(photo: Path, servers: list[Server]) -> None:
    server = Server(photo.parent, token=None)
    servers.append(server)
    assert server.url.startswith("http://localhost:")
    with httpx.Client(follow_redirects=True) as client:
        page = client.get(server.url)  # at once: nobody is refused who is told the address
        assert (page.status_code, "page/js/main.js" in page.text) == (200, True)
        assert client.get(server.url.split("?")[0] + "study").json()["folder"] == photo.parent.name
    code, err = server.end(signal.SIGINT)
    assert code == 0
    assert err == "acne-edge: Ctrl-C ends it\n"
    assert (photo.parent / "acne-edge.sqlite").exists()


def test_a_signal_right_after_the_address_ends_well_too(photo: Path, servers: list[Server]) -> None:
    server = Server(photo.parent)
    servers.append(server)
    assert server.end(signal.SIGINT)[0] == 0


def test_a_second_signal_ends_it_without_a_traceback(photo: Path, servers: list[Server]) -> None:
    server = Server(photo.parent)
    servers.append(server)
    assert httpx.get(server.url).status_code == 401  # it is up
    server.process.send_signal(signal.SIGINT)
    sleep(0.03)  # the first one waits .1 s for connections to close
    assert server.end(signal.SIGINT) == (0, "acne-edge: Ctrl-C ends it\n")


def test_a_token_of_ones_own_is_not_printed(photo: Path, servers: list[Server]) -> None:
    server = Server(photo.parent)
    servers.append(server)
    assert "token" not in server.url
    assert httpx.get(server.url).status_code == 401
    answer = httpx.post(f"{server.url}v1/predictions", content=photo.read_bytes(), headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.json()["count"] > 0
    assert server.end()[0] == 0


def test_what_was_taken_in_is_answered_before_the_end(photo: Path, servers: list[Server]) -> None:
    """A request whose body is still coming when the server is told to stop."""
    server = Server("--no-token", token=None)
    servers.append(server)
    assert httpx.get(f"{server.url}readyz").status_code == 200
    data = photo.read_bytes()
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("localhost", port)) as connection:
        head = f"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data[:100])
        sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        sleep(0.3)
        connection.sendall(data[100:])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    server.process.communicate(timeout=30)
    assert server.process.returncode == 0


@pytest.mark.slow
def test_questions_that_wait_do_not_hold_the_end_up(photo: Path, servers: list[Server]) -> None:
    server = Server(photo.parent, "--no-token", token=None)
    servers.append(server)
    told = httpx.get(f"{server.url}study/changes").json()
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("localhost", port)) as connection:
        connection.sendall(f"GET /study/changes?since={told['sequence'] + 5} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        sleep(0.2)
        begin = monotonic()
        assert server.end()[0] == 0
        assert monotonic() - begin < 8


@pytest.mark.slow
def test_tls(photo: Path, tmp_path: Path, servers: list[Server]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = Server("--tls-certificate", certificate, "--tls-key", key)
    servers.append(server)
    assert server.url.startswith("https://localhost:")
    import ssl

    answer = httpx.get(
        f"{server.url}?token={TOKEN}", verify=ssl.create_default_context(cafile=str(certificate)), follow_redirects=False
    )
    assert "Secure" in answer.headers["set-cookie"]
    assert server.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none",), "none: no such folder"),
        (("--host", "0.0.0.0", "--no-token"), "--no-token would let everybody in"),
        (("--host", "no.such.host.invalid"), "no such address"),
        (("--host", "203.0.113.7"), "cannot be used"),
        (("--tls-key", "key.pem"), "are given together"),
    ],
)
def test_what_makes_no_sense_is_one_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run("serve", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_without_a_port_two_servers_take_two() -> None:
    pytest.importorskip("uvicorn")
    from acne_edge.serve.server import listen

    with listen("127.0.0.1") as one, listen("127.0.0.1") as other:
        assert one.getsockname()[1] != other.getsockname()[1]


def test_a_port_that_is_taken_is_said(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = run("serve", "--host", "127.0.0.1", "--port", taken.getsockname()[1])
    assert (code, "is taken" in err) == (2, True)


@pytest.mark.parametrize("token", ["short", "with a blank in it, which is long", "x" * 20 + "ä", "x" * 20 + ";"])
def test_a_token_that_is_weak_or_cannot_be_sent_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("ACNE_EDGE_TOKEN", token)
    code, _, err = run("serve")
    assert (code, "ACNE_EDGE_TOKEN" in err) == (2, True)


def test_a_store_that_is_none_is_left_alone(run: Run, photo: Path) -> None:
    other = photo.parent / "letter.txt"
    other.write_text("not a database, and long enough to look like one " * 9)
    code, _, err = run("serve", photo.parent, "--port", 0, "--store", other)
    assert (code, "--store" in err) == (2, True)
    assert other.read_text().startswith("not a database")


def test_certificates_that_are_none_are_said(run: Run, tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("none")
    code, _, err = run("serve", "--port", 0, "--tls-certificate", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem")
    assert code == 2
    assert "PEM" in err


def test_the_extra_is_named_where_it_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("acne_edge.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    code, _, err = run("serve")
    assert code == 2
    assert "acne-edge[serve]" in err
