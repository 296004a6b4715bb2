"""A program apart: it has a loopback interface of its own, keeps its pid and signals, and sees empty folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from compbench.machine import namespaces
from compbench.machine.ask import AskError, ask, asking_through
from compbench.machine.output import Output
from compbench.machine.probes.sockets import OwnSocket, own_sockets
from compbench.machine.process import running

REFUSAL = namespaces.why_none()
pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=f"no namespaces here: {REFUSAL}")

# Listens on all addresses, as the servers do that have to be apart; an HTTPServer would ask for a name.
SERVER = """
import http.server, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"apart %d" % os.getpid())
server = socketserver.TCPServer(("", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def apart(*argv: str, private: tuple[str, ...] = (), kept: tuple[Path, ...] = ()) -> list[str]:
    return [*namespaces.words_for_new(private, kept), *argv]


def test_a_server_apart_is_reached_and_seen_through_its_entry_alone(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            del arguments

    other = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    port = other.server_port  # both listen there: neither is in the other's way
    log = Output(tmp_path / "log", 10_000_000)
    argv = apart(sys.executable, "-u", "-c", SERVER, str(port))
    with running(argv, environment=os.environ, folder=tmp_path, stdout=log) as child:
        while b"ready" not in (tmp_path / "log").read_bytes():
            assert child.wait(0.02) is None, (tmp_path / "log").read_text()
        assert ask(f"http://127.0.0.1:{port}/", 5).status == 503
        with asking_through(namespaces.words_to_enter(child.pid)):
            answer = ask(f"http://127.0.0.1:{port}/", 5)
            with pytest.raises(AskError, match="refused"):
                ask(f"http://127.0.0.1:{port + 1}/", 5)
            with pytest.raises(AskError, match="larger than 3 bytes"):
                ask(f"http://127.0.0.1:{port}/", 5, most_bytes=3)
        assert (answer.status, answer.text) == (200, f"apart {child.pid}")
        assert own_sockets(child.pid) == [OwnSocket(psutil.CONN_LISTEN, port)]
        child.send(signal.SIGINT)
        assert child.wait(10) is not None
    other.shutdown()
    other.server_close()


def test_the_sockets_of_a_server_that_is_not_apart_are_seen_too() -> None:
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    with server:
        assert OwnSocket(psutil.CONN_LISTEN, server.server_port) in own_sockets(os.getpid())


def test_a_private_folder_is_empty_but_for_what_is_kept_and_leaves_nothing(tmp_path: Path) -> None:
    hidden, kept = tmp_path / "hidden", tmp_path / "hidden" / "deep" / "kept"
    kept.mkdir(parents=True)
    (hidden / "secret").touch()
    script = 'ls "$1"; touch "$1/left" here; pwd; ls /run | wc -l'
    argv = apart("sh", "-c", script, "sh", str(hidden), private=(str(hidden), "/run"), kept=(kept,))
    done = subprocess.run(argv, cwd=kept, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["deep", str(kept), "0"]
    assert sorted(path.name for path in hidden.iterdir()) == ["deep", "secret"]
    assert (kept / "here").exists()


def test_what_python_ignores_is_not_ignored_by_the_program() -> None:
    done = subprocess.run(apart("sh", "-c", "kill -PIPE $$; echo ignored"), capture_output=True, check=False)
    assert done.returncode == -signal.SIGPIPE


def test_a_program_or_process_that_is_not_there_is_one_line() -> None:
    done = subprocess.run(apart("/no/such/program"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (127, 1)
    assert "/no/such/program: can't be started apart" in done.stderr
    done = subprocess.run([*namespaces.words_to_enter(2**22 + 1), "true"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (127, 1)
