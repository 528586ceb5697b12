"""A command line's effects on its process: signals, full or closed streams, texts that an encoding lacks, progress."""

from __future__ import annotations

import importlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acne_edge import console

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and descriptors")

PROGRAM = """
import sys, time, typer
from acne_edge import console
app = console.application("A program.")
@app.command()
def work(what: str) -> None:
    {body}
console.run(app, "program")
"""


def start(body: str, **how: object) -> subprocess.Popen[str]:
    """A program with that body, which may use the argument `what`."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM.format(body=body), "x"], text=True, **how)


def finish(body: str, shell: str = "") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a program, run with redirections of the shell."""
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" x {shell}', sys.executable, PROGRAM.format(body=body)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")],
)
def test_a_signal_ends_the_program_after_the_lines_that_are_done(number: int, code: int, word: str) -> None:
    body = "print('one'); print('tw', end=''); time.sleep(60)"
    with start(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        time.sleep(0.3)  # the next line is begun
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", f"program: {word}\n")


@pytest.mark.parametrize("moment", ["_streams", "_keep_descriptors"])
def test_a_signal_just_before_the_work_is_one_line_too(
    moment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(console, moment, interrupt)
    with pytest.raises(SystemExit) as stop:
        console.run(lambda *_, **__: 0, "program")
    assert (stop.value.code, capsys.readouterr().err) == (130, "program: interrupted\n")


def test_a_signal_in_the_middle_of_a_line_waits_for_its_end() -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)  # the handler has run
            return super().write(text)

    stream = Slow()
    with console._signals.raised(), pytest.raises(SystemExit) as stop:
        console.Lines(stream, "stdout").write("a line\n")
    assert stop.value.code == 143
    assert stream.getvalue() == "a line\n"


def import_and_wait(name: str) -> None:
    importlib.import_module(name)
    time.sleep(10)


def test_a_signal_during_an_import_waits_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "import os, time; os.kill(os.getpid(), 2)\nfor _ in range(20): time.sleep(0.005)\nwhole = True\n"
    (tmp_path / "slow_module.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), console._signals.raised():
        import_and_wait("slow_module")
    assert sys.modules["slow_module"].whole


def test_a_second_signal_does_not_wait_for_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless_module.py").write_text("import os, time\nwhile True: os.kill(os.getpid(), 15); time.sleep(0.001)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as stop, console._signals.raised():
        import_and_wait("endless_module")
    assert stop.value.code == 143


def test_an_import_that_does_not_end_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PATIENCE", 0.05)
    (tmp_path / "hanging_module.py").write_text("import os, time; os.kill(os.getpid(), 2); time.sleep(60)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), console._signals.raised():
        import_and_wait("hanging_module")


def test_a_signal_that_comes_inside_of_the_events_own_wait_is_not_waited_for_for_ever() -> None:
    body = """
import signal
from acne_edge import console
stop = console.stop_on_signals()
with stop._cond:  # as Event.wait holds it for moments
    signal.raise_signal(signal.SIGTERM)
assert stop.wait(10)
"""
    subprocess.run([sys.executable, "-c", body], check=True, timeout=60)


@pytest.mark.parametrize(
    ("error", "expected"),
    [("RuntimeError('not imported')", (130, "", "program: interrupted\n")), ("AcneEdgeError('no')", (1, "", "program: no\n"))],
)
def test_an_error_that_a_library_makes_of_an_interrupt_is_no_defect(error: str, expected: tuple[int, str, str]) -> None:
    body = f"""import signal
    from acne_edge.errors import AcneEdgeError
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise {error}
"""
    assert finish(body) == expected


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with console._signals.raised():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_lines_are_written_at_once_and_whole() -> None:
    stream = io.StringIO()
    lines = console.Lines(stream, "stdout")
    lines.write("be")
    assert stream.getvalue() == ""
    lines.write("gun\nnext")
    assert stream.getvalue() == "begun\n"
    lines.flush()
    assert stream.getvalue() == "begun\nnext"


FULL = "stdout: No space left on device"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("body", ["print('a line')", "print('no line', end='')", "raise typer.Exit(5) if print('a line') else 0"])
def test_a_full_disk_is_one_line_and_exit_code_1(body: str) -> None:
    assert finish(body, "> /dev/full") == (1, "", f"program: {FULL}\n")


@pytest.mark.parametrize("body", ["print('a line')", "print('no line', end='')", "[print('x' * 999) for _ in range(999)]"])
def test_a_reader_that_has_gone_is_exit_code_0_without_a_word(body: str) -> None:
    with start(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")


def test_help_to_a_reader_that_has_gone_is_exit_code_0() -> None:
    code, _, err = finish("pass", "--help | true; exit ${PIPESTATUS[0]}")
    assert (code, err) == (0, "")


def test_a_closed_stdout_is_one_line_and_exit_code_1() -> None:
    assert finish("print('lost')", ">&-") == (1, "", "program: stdout: it is closed\n")


def test_a_closed_or_full_stderr_changes_neither_output_nor_exit_code() -> None:
    body = "print('kept'); console.complain('never seen'); raise typer.Exit(3)"
    for shell in ("2>&-", "2> /dev/full", "<&- 2>&-"):
        assert finish(body, shell) == (3, "kept\n", "")


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    file = tmp_path / "innocent"
    file.write_text("kept")
    code, _, _ = finish(f"stream = open({str(file)!r}, 'r+'); assert stream.fileno() > 2; print('astray')", "<&- >&- 2>&-")
    assert (code, file.read_text()) == (1, "kept")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_names_that_the_encoding_cannot_hold_are_escaped(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body="print(chr(0x4e2d), chr(0xdce9))"), "x"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding + ":strict"},
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout == ("中" if encoding == "utf-8" else "\\u4e2d").encode() + b" \xe9\n"
    )  # the byte that was no text, as it came


def test_a_complaint_is_one_line_that_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.complain("a\nb\x1b[2Jc\u202ed")
    assert capsys.readouterr().err == "acne-edge: a b\\x1b[2Jc\\u202ed\n"


def test_progress_is_drawn_on_stderr_and_leaves_stdout_alone(tmp_path: Path) -> None:
    """On a terminal only; what a program prints meanwhile goes where its caller sends it."""
    pty = pytest.importorskip("pty")
    terminal, side = pty.openpty()
    with (tmp_path / "out").open("wb") as out, start("[print(i) for i in console.progress(iter(range(30)), 'working', 30)]",
                                                     stdout=out, stderr=side) as process:  # fmt: skip
        os.close(side)
        seen = b""
        while True:
            try:
                seen += os.read(terminal, 4096)
            except OSError:  # the program has ended
                break
    os.close(terminal)
    assert process.wait() == 0
    assert (tmp_path / "out").read_text().split() == [str(i) for i in range(30)]
    assert b"working" in seen


def test_a_table_is_not_cut_off_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.table(("name", "verdict"), [("left", "no change beyond measurement error")])
    assert "left  no change beyond measurement error" in capsys.readouterr().out


def test_without_a_terminal_there_is_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.progress(iter("abc"), "working", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
