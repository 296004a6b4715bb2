"""A network cable that delays and loses: frames between two TAP devices in two network namespaces.

`slow_link.py NAMESPACE_FD ADDRESS DEVICE DELAY_MS LOSS_PCT SEED`. It makes `eth0` with this hardware address in the
namespace that the descriptor names, and DEVICE in its own, says `ready`, and forwards each frame DELAY_MS after it
came, but for a share that it loses, drawn from the seed. Either device is gone when it ends. The kernel's own means,
`netem`, is not in every kernel.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_BYTES = 65_536
# As many frames as wait at most; a cable that is full loses what comes, as a router does.
QUEUE_FRAMES = 10_000


def enter(namespace_fd: int) -> None:
    """Go to another network namespace."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace_fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def make_device(name: str) -> int:
    """Make a TAP device in the namespace that this process is in; return its descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def forward(ends: tuple[int, int], delay_s: float, loss: float, seed: int) -> None:
    """Carry frames from either end to the other, for ever."""
    draw = random.Random(seed).random
    across = {ends[0]: ends[1], ends[1]: ends[0]}
    waiting: deque[tuple[float, int, bytes]] = deque()
    while True:
        # A select's timeout is exact to microseconds, unlike that of a poll.
        left_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(ends, (), (), left_s)[0]:
            frame = os.read(end, FRAME_BYTES)
            if draw() >= loss and len(waiting) < QUEUE_FRAMES:
                waiting.append((time.monotonic() + delay_s, across[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, end, frame = waiting.popleft()
            deliver(end, frame)


def deliver(end: int, frame: bytes) -> None:
    """Hand a frame over; an end that is down or full loses it."""
    try:
        os.write(end, frame)
    except OSError:
        return


def main() -> None:
    """Make both ends and carry."""
    namespace, address, device, delay_ms, loss_pct, seed = sys.argv[1:]
    mine = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(int(namespace))
    far = make_device("eth0")
    subprocess.run(["ip", "link", "set", "eth0", "address", address], check=True)
    enter(mine)
    near = make_device(device)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    forward((far, near), float(delay_ms) / 1000, float(loss_pct) / 100, int(seed))


if __name__ == "__main__":
    main()
