"""Follows the newest run, or one that is named: reads its folder and keeps the board up to date. Writes nothing."""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from compbench.files.regular import read_regular
from compbench.live import earlier, liveness, wording
from compbench.live.board import Board
from compbench.live.liveness import Liveness
from compbench.live.state import RunState
from compbench.live.tail import Tail
from compbench.live.told import ToldEvent, moment_told, names_told, nested_told, number_told, words_told
from compbench.model import file_names
from compbench.model.times import clock_time
from compbench.store import runs

# A folder's time has the grain of the kernel's clock: what is made just after a look may not change it.
_GRAIN_S = 3.0
# A report is rendered after the moment at which its run says that it was closed.
_REPORT_GRAIN_S = 2.0


class Places(NamedTuple):
    """Where the follower looks: all runs, the suite's lock, and the run that is named, empty for the newest."""

    output_dir: Path
    lock_path: Path
    run: str = ""


class Follower:
    """One run at a time, as its files tell it; going through `steps` takes in what is new."""

    def __init__(self, places: Places, board: Board, now: Callable[[], float] = time.time) -> None:
        self.places = places
        self.board = board
        self.folder: Path | None = None
        self.report: Path | None = None
        self._now = now
        self._looked = (0, 0.0)
        self._begin(None)
        self._show()

    @property
    def has_report(self) -> bool:
        """Tell whether the run is over and its report is there."""
        return self.board.value("report") is True

    def steps(self) -> Iterator[None]:
        """Take in all that is new, a part of the events at a time."""
        folder = self._folder()
        if folder != self.folder:
            self._begin(folder)
        if self.folder is not None:
            self._read_manifest()
            # Who looks meanwhile may find that the run is gone.
            while self._tail is not None and self._read_events():
                yield
        self._show()
        yield from self._look_back()

    def _folder(self) -> Path | None:
        if self.places.run:
            folder = self.places.output_dir / self.places.run
            return folder if folder.is_dir() else None
        try:
            changed = self.places.output_dir.stat().st_mtime_ns
        except OSError:
            return None
        is_settled = self._looked[1] * 1e9 > changed + _GRAIN_S * 1e9
        is_there = self.folder is None or (self.folder / file_names.MANIFEST).exists()
        if self._looked[0] == changed and is_settled and is_there:
            return self.folder
        self._looked = (changed, self._now())
        with contextlib.suppress(OSError):  # it may vanish while it is being looked at
            return runs.newest_folder(self.places.output_dir)
        return None

    def _begin(self, folder: Path | None) -> None:
        self.folder = folder
        self._tail = Tail(folder / file_names.EVENTS) if folder else None
        self._state = RunState(self.board)
        self._manifest: ToldEvent = {}
        self._manifest_read = (0, 0)
        self._trouble = ""
        self._earlier_of = ""
        self.board.put("earlier", None)

    def _read_manifest(self) -> None:
        assert self.folder is not None  # noqa: S101 - only a run that is there is read
        path = self.folder / file_names.MANIFEST
        try:
            found = path.stat()
            if (found.st_ino, found.st_mtime_ns) == self._manifest_read:
                return
            manifest = msgspec.json.decode(read_regular(path, is_link_followed=False))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # it is being replaced, or was removed: what is known stands until it can be read
        if isinstance(manifest, dict):
            self._manifest, self._manifest_read = manifest, (found.st_ino, found.st_mtime_ns)

    def _read_events(self) -> bool:
        """Take in the next events; tell whether there were any."""
        assert self._tail is not None  # noqa: S101 - see _read_manifest
        try:
            events, is_anew = self._tail.read()
        except FileNotFoundError:
            self._trouble = "" if self._manifest else "The run's folder has no events yet."
            return False
        except OSError as error:
            self._trouble = f"The run's events can't be read ({error.strerror})."
            return False
        if is_anew:
            self._state = RunState(self.board)
        unread = self._tail.unread_lines
        self._trouble = f"{unread} lines of the run's events could not be read." if unread else ""
        for event in events:
            self._state.apply(event)
        return bool(events)

    def _show(self) -> None:
        """Put everything that is told in words onto the board; only what differs is a change."""
        state, now = self._state, self._now()
        life = self._life(now)
        selection = names_told(self._manifest, "selection") or state.selection
        parts: dict[str, Any] = {
            "run": self._run_facts(life),
            "now": wording.place_of_run(state, now, is_alive=life.is_alive),
            "told": {"life": life.life, "text": self._life_text(life), "trouble": self._trouble},
            "as_of": clock_time(state.last_at) if state.last_at else "",
            "rail": wording.rail(state, selection, is_alive=life.is_alive) if self.folder else [],
            "results": wording.results(state, selection),
            "notices": wording.notices_shown(state),
            "news": state.news,
            "limit_s": state.limit_s,
            "tiles": wording.tiles(self.board),
            "last": wording.last_seconds(self.board),
            "hosts": wording.hosts(self.board),
            "machine": wording.machine(self.board),
        }
        self.report = self._find_report()
        parts["report"] = self.report is not None and life.life == "over"
        parts["report_so_far"] = self.report is not None
        for name, value in parts.items():
            self.board.put(name, value)

    def _life(self, now: float) -> Liveness:
        if self.folder is None:
            return Liveness("over")
        is_over = words_told(self._manifest, "state") in ("closed", "abandoned")
        holder = None if is_over else liveness.lock_holder(self.places.lock_path)
        state = self._state
        # Before a run has told of itself, its manifest is all there is.
        opened_at = state.opened_at or moment_told(self._manifest, "opened_at") or 0.0
        return liveness.life_of_run(
            is_over=is_over, holder=holder, opened_at=opened_at, last_at=state.last_at or opened_at, now=now
        )

    def _life_text(self, life: Liveness) -> str:
        if self.folder is None:
            name = self.places.run
            return f"Run {name} is not there." if name else "There is no run yet; this page waits for one."
        if life.life == "over" and words_told(self._manifest, "state") == "abandoned":
            note = words_told(self._manifest, "note")
            return f"The run was given up{f': {note}' if note else ''}."
        if life.life == "over":
            again = f"`doit report run={self.folder.name}` renders it"
            return f"The run is over; its report is not there yet, or was not asked for: {again}."
        return life.text

    def _run_facts(self, life: Liveness) -> dict[str, Any]:
        if self.folder is None:
            return {"name": self.places.run, "state": "none", "chips": []}
        settings, systems = nested_told(self._manifest, "settings"), names_told(self._manifest, "systems")
        chips = [("systems", ", ".join(systems))] if systems else [("system", words_told(settings, "system"))]
        chips += [("driver", words_told(settings, "driver")), ("profile", words_told(settings, "profile"))]
        if self._state.invocation > 1:
            chips.append(("invocation", str(self._state.invocation)))
        state = "under way" if life.is_alive else words_told(self._manifest, "state") or "open"
        return {"name": self.folder.name, "state": state, "chips": [chip for chip in chips if chip[1]]}

    def _look_back(self) -> Iterator[None]:
        """Look into earlier runs, one at a time, once for each measurement that begins."""
        begun = self._state.measurement
        if begun is None or begun.name == self._earlier_of or not self._manifest:
            return
        self._earlier_of, folder = begun.name, self.folder
        with contextlib.suppress(OSError):  # see _folder
            found = yield from earlier.earlier_runs(self.places.output_dir, self._manifest, begun.name)
            # Who looks meanwhile may be further.
            if (self._earlier_of, self.folder) == (begun.name, folder):
                self.board.put("earlier", found)

    def _find_report(self) -> Path | None:
        """Return the run's report; of a closed run only one that was rendered at its end or later."""
        if self.folder is None:
            return None
        path = self.folder / file_names.of_run(self.folder.name, "report")
        try:
            found = path.lstat()
        except OSError:
            return None
        # A link may lead to any file that this user can read, and whoever uses this machine may read the page.
        if not stat.S_ISREG(found.st_mode):
            return None
        closed_at = (
            number_told(self._manifest, "closed_at") if words_told(self._manifest, "state") == "closed" else None
        )
        return None if closed_at is not None and found.st_mtime < closed_at - _REPORT_GRAIN_S else path
