"""A server apart: in a network namespace of its own, where it sees nothing but loopback and nobody else reaches it.

Some servers listen on all addresses whatever they are told. Run as a program this puts itself apart, or goes where
another process is, and becomes the program that it is given, so that pid, session and signals stay those of its guard:

    namespaces.py new [--private FOLDER]... [--kept FOLDER]... -- PROGRAM ARG...
    namespaces.py enter PID -- PROGRAM ARG...

A private folder is empty for the program and vanishes with it; what of it is kept is seen as it is. An ordinary user
gets a user namespace as well. Needs Linux and no other program; imports little: it starts in milliseconds.
"""

import ctypes
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x0002_0000, 0x1000_0000, 0x4000_0000
_BIND, _RECURSIVE, _TO_NOBODY = 0x1000, 0x4000, 0x4_0000
_GET_FLAGS, _SET_FLAGS, _IS_UP = 0x8913, 0x8914, 0x1
_CANNOT_EXECUTE = 127
_TRY_TIMEOUT_S = 10.0
# Python ignores these, and what is ignored stays so in the program that it becomes.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


def words_for_new(private: tuple[str, ...] = (), kept: tuple[Path, ...] = ()) -> tuple[str, ...]:
    """Return the words before the command line of a server that is to be apart."""
    hidden = [word for folder in private for word in ("--private", folder)]
    seen = [word for folder in kept for word in ("--kept", str(folder.absolute()))]
    return (*_program(), "new", *hidden, *seen, "--")


def words_to_enter(pid: int) -> list[str]:
    """Return the words before a command line that is to reach a server that is apart."""
    return [*_program(), "enter", str(pid), "--"]


def why_none() -> str:
    """Try it, and return why no program can be apart here, in one line; empty if one can."""
    argv = [*words_for_new(private=("/run",)), "true"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TRY_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_TRY_TIMEOUT_S:g} s"
    return "" if done.returncode == 0 else " ".join(done.stderr.split())


def _program() -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(Path(__file__).resolve()))


def _go_apart(private: list[str], kept: list[str]) -> None:
    user, group = os.getuid(), os.getgid()
    flags = _NEW_NETWORK | _NEW_MOUNTS
    try:
        _call("unshare", ctypes.c_int(flags))
    except PermissionError:
        _call("unshare", ctypes.c_int(flags | _NEW_USER))
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    _bring_loopback_up()
    if private:
        _mount(b"none", b"/", None, _RECURSIVE | _TO_NOBODY)  # nobody else is to see the next ones
    folder = os.getcwd()  # noqa: PTH109 - without the rest of pathlib's way to it
    for name in private:
        _hide(name, [path for path in kept if path.startswith(f"{name}/")])
    os.chdir(folder)  # it may be in a folder that is kept, which has been mounted since


def _hide(name: str, kept: list[str]) -> None:
    """Put an empty folder in the place of this one, with what is kept in it."""
    handles = [os.open(path, os.O_PATH) for path in kept]
    _mount(b"tmpfs", name.encode(), b"tmpfs", 0)
    for path, handle in zip(kept, handles, strict=True):
        os.makedirs(path, exist_ok=True)  # noqa: PTH103 - see above
        _mount(f"/proc/self/fd/{handle}".encode(), path.encode(), None, _BIND | _RECURSIVE)
        os.close(handle)


def _enter(pid: str) -> None:
    """Go where the process is; an ordinary user has the right to in that process' user namespace alone."""
    kinds = ["net"]
    if os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino:  # noqa: PTH116 - see above
        kinds.insert(0, "user")
    handles = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
    for handle in handles:
        _call("setns", ctypes.c_int(handle), ctypes.c_int(0))
        os.close(handle)


def _bring_loopback_up() -> None:
    import fcntl  # noqa: PLC0415 - not on every platform, and this module is read on all
    import socket  # noqa: PLC0415 - only a program that goes apart needs it

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _GET_FLAGS, request))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _IS_UP))


def _mount(source: bytes, target: bytes, kind: bytes | None, flags: int) -> None:
    _call("mount", source, target, kind, ctypes.c_ulong(flags), None)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library.

    Raises:
        OSError: it failed, or this platform has no such function.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        raise OSError(0, f"{name}: namespaces need Linux")
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def main(argv: list[str]) -> None:
    """Go apart, or to another process, and become the program."""
    here = argv.index("--")
    options, program = argv[1:here], argv[here + 1 :]
    try:
        if argv[0] == "new":
            private = [value for name, value in zip(options[::2], options[1::2], strict=True) if name == "--private"]
            kept = [value for name, value in zip(options[::2], options[1::2], strict=True) if name == "--kept"]
            _go_apart(private, kept)
        else:
            _enter(options[0])
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"{program[0]}: can't be started apart from others: {error.strerror}\n".encode())
    sys.exit(_CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1:])
