"""Hosts that SSH does not let us into: one line each that says how to mend it."""

from __future__ import annotations

import sys

import pytest

from tests.lab.cluster import serve_ssh
from tests.lab.hosts import Lab, why_not
from tests.project import ROOT

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


def check_hosts(lab: Lab, home: str) -> tuple[int, str]:
    """Look at host a from the desk; return the exit code and what was said against it."""
    look = [sys.executable, "-m", "compbench.loadtest", "check-hosts", "--hosts", "ssh:a", "--cache", str(lab.folder)]
    done = lab.run("desk", ["env", f"HOME={home}", f"PYTHONPATH={ROOT}", *look])
    return done.returncode, done.stderr


def test_an_unknown_key_of_a_host_and_a_login_that_it_refuses_are_one_line_each() -> None:
    with Lab(("desk", "a")) as lab:
        home = serve_ssh(lab, ("a",))["HOME"]
        ssh = lab.folder / "home" / ".ssh"
        known = (ssh / "known_hosts").read_text()
        (ssh / "known_hosts").write_text("")
        unknown = check_hosts(lab, home)
        (ssh / "known_hosts").write_text(known)
        assert check_hosts(lab, home) == (0, "")
        (ssh / "id_ed25519").unlink()
        refused = check_hosts(lab, home)
    for (code, said), mend in ((unknown, "known_hosts"), (refused, "without a password")):
        assert (code, said.count("\n")) == (1, 1), said
        assert said.startswith("Error: hosts ssh:a: ")
        assert mend in said
