"""Notifications, sent to a real HTTP server and a real SMTP server on loopback."""

from __future__ import annotations

import io
import json
import platform
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from compbench.cli import telling
from compbench.cli.display import Display
from compbench.config.settings import Notify, Settings
from compbench.model.errors import UserError
from compbench.report import notify
from compbench.store import runs
from tests.past_runs import add_run
from tests.project import Project, free_port

SECRET = "s3cr3t-t0k3n"


class Receiver(BaseHTTPRequestHandler):
    """Keeps what is posted, or refuses it."""

    posted: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    refuses = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.path, json.loads(body)))
        self.send_response(500 if self.refuses else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[type[Receiver]]:
    """An HTTP server at work; the class that keeps what it got, with its `port`."""

    class Own(Receiver):
        posted: ClassVar[list[tuple[str, dict[str, Any]]]] = []
        port = 0

    server = HTTPServer(("127.0.0.1", 0), Own)
    Own.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Own
    server.shutdown()
    server.server_close()
    thread.join()


class Mailbox:
    """Keeps the mails that an SMTP server takes."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        self.mails.append((envelope.rcpt_tos, (envelope.content or b"").decode()))  # type: ignore[union-attr]
        return "250 taken"


def test_a_message_reaches_http_and_smtp(receiver: type[Receiver]) -> None:
    mailbox = Mailbox()
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    environment = {
        "CHAT": f"json://127.0.0.1:{receiver.port}/{SECRET}",  # type: ignore[attr-defined]
        "MAIL": f"mailto://127.0.0.1:{port}/?from=compbench@example.com&to=team@example.com&mode=insecure",
    }
    try:
        warnings = notify.send_message(
            Notify(variables=("CHAT", "MAIL")), "success", "run passed", "4/4 scenarios", environment
        )
    finally:
        controller.stop()
    assert warnings == []
    ((path, body),) = receiver.posted
    assert path == f"/{SECRET}"
    assert (body["title"], body["message"].strip(), body["type"]) == ("run passed", "4/4 scenarios", "success")
    ((recipients, text),) = mailbox.mails
    assert recipients == ["team@example.com"]
    assert "run passed" in text


@pytest.mark.parametrize("kind", ["refused", "nobody listens", "not an address", "unset"])
def test_a_failure_is_a_warning_that_names_the_variable_and_no_address(receiver: type[Receiver], kind: str) -> None:
    receiver.refuses = True
    address = {
        "refused": f"json://127.0.0.1:{receiver.port}/{SECRET}",  # type: ignore[attr-defined]
        "nobody listens": f"json://127.0.0.1:{free_port()}/{SECRET}",
        "not an address": SECRET,
        "unset": "",
    }[kind]
    (warning,) = notify.send_message(Notify(variables=("CHAT",)), "info", "title", "text", {"CHAT": address})
    assert "CHAT" in warning
    assert SECRET not in warning


def test_people_hear_only_of_what_they_asked_for() -> None:
    failure = Notify(variables=("CHAT",), on=("failure",))
    assert notify.is_wanted(failure, passed=False, regressed=False)
    assert not notify.is_wanted(failure, passed=True, regressed=True)
    assert notify.is_wanted(Notify(variables=("CHAT",), on=("regression",)), passed=True, regressed=True)
    assert notify.is_wanted(Notify(variables=("CHAT",), on=("end",)), passed=True, regressed=False)
    assert not notify.is_wanted(Notify(on=("end",)), passed=False, regressed=True)


def test_a_run_tells_of_its_end_and_keeps_no_address(receiver: type[Receiver], tmp_path: Any) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    (project.root / "compbench.toml").write_text(
        f'{project.settings}\n[notify]\nvariables = ["CHAT", "NOWHERE"]\non = ["end"]\n'
    )
    address = f"json://127.0.0.1:{receiver.port}/{SECRET}"  # type: ignore[attr-defined]
    done = project.doit(CHAT=address, NOWHERE=f"json://127.0.0.1:{free_port()}/{SECRET}")
    assert done.returncode == 0, "a notification that fails does not touch the result"
    assert "warning: notification not sent: the address in NOWHERE" in done.stdout
    ((_, body),) = receiver.posted
    assert "1/1 scenarios passed" in body["message"]
    assert SECRET not in done.stdout + done.stderr
    kept = [path for path in project.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []


def test_a_regression_is_told_with_its_figures(
    receiver: type[Receiver], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT", f"json://127.0.0.1:{receiver.port}/")  # type: ignore[attr-defined]
    settings = Settings(output_dir=str(tmp_path), notify=Notify(variables=("CHAT",), on=("regression",)))
    for number, p99s_ms in enumerate(([10.0, 10.1, 9.9], [10.0, 10.1, 9.9], [12.0, 12.1, 11.9])):
        run = runs.find_run(tmp_path, add_run(tmp_path, number, p99s_ms))
        assert telling.notify_end(settings, run, run.captures(), passed=True) == []
    ((_, body),) = receiver.posted
    assert "worse than before" in body["title"]
    assert "P99, ms: 10.00 -> 12.00" in body["message"]
    assert body["type"] == "warning"


@pytest.mark.parametrize(
    ("verdict", "kind"), [("passed", "success"), ("missed", "warning"), ("invalid", "warning"), ("failed", "failure")]
)
def test_a_message_tells_machine_outcome_and_where_the_report_is(
    receiver: type[Receiver], tmp_path: Any, verdict: str, kind: str
) -> None:
    environment = {
        "CHAT": f"json://127.0.0.1:{receiver.port}/",  # type: ignore[attr-defined]
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "team/bench",
        "GITHUB_RUN_ID": "17",
        "PATH": "/usr/bin:/bin",
    }
    settings = Settings(output_dir=str(tmp_path), notify=Notify(variables=("CHAT",), on=("end",)))
    run = runs.find_run(tmp_path, add_run(tmp_path, 0, [10.0], verdict=verdict))
    report = run.folder / f"{run.name}_report.html"
    report.touch()
    passed = verdict == "passed"
    assert telling.notify_end(settings, run, run.captures(), passed=passed, environment=environment) == []
    ((_, body),) = receiver.posted
    assert body["type"] == kind
    assert body["title"] == f"compbench on {platform.node()}, run {run.name}: {'passed' if passed else 'not passed'}"
    assert f"{platform.node()}:{report}\n" in body["message"] + "\n"
    assert "https://github.com/team/bench/actions/runs/17" in body["message"]


def test_a_test_message_says_of_each_variable_whether_it_arrived(receiver: type[Receiver]) -> None:
    environment = {"CHAT": f"json://127.0.0.1:{receiver.port}/"}  # type: ignore[attr-defined]
    out = io.StringIO()
    settings = Settings(notify=Notify(variables=("CHAT",)))
    assert telling.send_test(settings, Display(out), environment) == 0
    assert "sent a test message to what is in CHAT" in out.getvalue()
    ((_, body),) = receiver.posted
    assert "a test" in body["title"]
    assert telling.send_test(Settings(notify=Notify(variables=("CHAT", "GONE"))), Display(out), environment) == 1
    assert "the environment variable GONE is not set" in out.getvalue()
    with pytest.raises(UserError, match="no variable is named"):
        telling.send_test(Settings(), Display(out), environment)
