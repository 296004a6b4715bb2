"""The first process of a host of the laboratory: it names the host, collects orphans, and ends with its stdin.

`first_process.py NAME HOSTS_FILE`, started in namespaces of its own. The kernel ends every process of a host with its
first one, and removes the host's network, so nothing is left however the tests are ended.
"""

import signal
import socket
import subprocess
import sys


def main() -> None:
    """Make the host ready, say so, and wait."""
    _, name, hosts_file = sys.argv
    socket.sethostname(name)
    subprocess.run(["mount", "--bind", hosts_file, "/etc/hosts"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
