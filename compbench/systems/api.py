"""The contract between compbench and a system under test: the interface of a folder in `compbench.systems`.

A folder has three modules: `settings` (its `KIND`, light), `server` (its `Server`: the runner's half, which starts the
server and asks it) and `client` (its `Client`: the driver's half, which loads and searches). A fourth one, `install`
(its `INSTALLATION`), is there if `doit install:<system>` can get the server from a package registry. Port checks,
isolation, proof of identity, stopping, the schedule and exact neighbours are common to all systems, and not in their
folders.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from compbench.config.system_tables import Mode
from compbench.model.result import IndexProof
from compbench.model.scenario import SimilarityMetric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from compbench.machine.server_metrics import MetricsPage
    from compbench.transport.exchange import Exchange, Transport

    Vectors = NDArray[np.float32]
    # (edges, 2): from, to; directed.
    Pairs = NDArray[np.uint32]

# A request as the system's transport takes it, made before it is due.
Call = Any
# The data set's row i is i everywhere. What a run stores itself begins here, far above any data set's rows.
STORED_FROM = 2**40
# The threshold of a search that is to find the nearest vectors however far they are. A plain search by cosine has 0,
# which leaves out none of the nearest of any set that is worth searching in: a client may send it without a threshold,
# which some systems answer in another, slower way.
NO_THRESHOLD = float("-inf")
# In an answer: what neither the data set nor a run's own stores can be.
UNKNOWN = -1
# The name of what holds the data set in a server that may hold other things, too: a collection, schema, graph or index.
COLLECTION = "compbench"


class Capabilities(NamedTuple):
    """The abilities of a system, as far as scenarios ask for them.

    Attributes:
        dimension: the only number of dimensions that its vectors may have; None if any.
        metrics: the similarities that it searches by.
        thresholds: whether a search can be given a least similarity.
        inserts: whether vectors can be stored while searches go on.
        edges: whether it follows edges, as far as that is known before it runs.
        completion: whether it completes partial vectors.
        deletes: whether a stored vector can be removed.
        filters: whether a search can be narrowed by other fields.
        most_dimensions: how many dimensions its vectors have at most; None if no limit is known.
        effort: its own name for the knob that trades speed for recall at search time; empty if it has none. Its value
            is the key `effort` of the system's settings.
        tells_edges: whether some builds of it follow edges, and tell so when they run, which the client asks then.
    """

    dimension: int | None = None
    metrics: tuple[SimilarityMetric, ...] = ("cosine",)
    thresholds: bool = True
    inserts: bool = True
    edges: bool = False
    completion: bool = False
    deletes: bool = False
    filters: bool = False
    most_dimensions: int | None = None
    effort: str = ""
    tells_edges: bool = False


# -- server half -----------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """The port that a server is given on loopback, and the folder that `doit install:<system>` fills, there or not."""

    port: int
    installed: Path


def nothing_foreign(_name: str) -> bool:
    """Let every inherited variable reach the server."""
    return False


class Launch(NamedTuple):
    """How a server is started in the foreground, and stopped.

    Attributes:
        argv: its command line.
        environment: variables that it gets besides the inherited ones.
        is_foreign: tells which inherited variables must not reach it.
        wrapper: words before the command line that put the server apart, where it can't be kept to loopback.
        before: command lines that have to succeed before, in order, such as one that makes an empty data folder.
        stop_signal: what makes it end in order.
        stop_grace_s: how long that takes at most, where it needs more than the setting `stop_grace_s`.
    """

    argv: list[str]
    environment: dict[str, str]
    is_foreign: Callable[[str], bool] = nothing_foreign
    wrapper: tuple[str, ...] = ()
    before: tuple[list[str], ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 0.0


class ContainerLaunch(NamedTuple):
    """How the server's image is run, in mode `container`.

    Attributes:
        image: by its digest, as `name@sha256:...`.
        data_path: the folder of the container that holds the server's data; `work/data` is mounted there.
        environment: variables of the container; nothing else of the caller's reaches it.
        arguments: words after the image.
        inner_port: the port of the container that is published as the server's on loopback; None if it shares the
            machine's network, where the server must be told to listen on its own port of 127.0.0.1.
        as_user: whether it runs as the user who runs compbench, so that its files can be removed afterwards.
        stop_grace_s: how long it takes to end in order at most, where it needs more than the setting `stop_grace_s`.
        shared_memory_bytes: how large its `/dev/shm` is; 0 for what the container program gives.
    """

    image: str
    data_path: str
    environment: Mapping[str, str] = {}
    arguments: tuple[str, ...] = ()
    inner_port: int | None = None
    as_user: bool = True
    stop_grace_s: float = 0.0
    shared_memory_bytes: int = 0


class Facts(NamedTuple):
    """What may differ between systems that are compared, in a few words each, for the pages.

    Attributes:
        protocol: how it is asked, as "HTTP/1.1, JSON".
        index_definition: as "HNSW, m 16, ef_construction 100, 32 bit floats".
        durability: what an acknowledged insert survives.
        inserts: when a search sees an insert.
        caches: what answers may come from besides the index; "none known" is an answer.
    """

    protocol: str
    index_definition: str
    durability: str
    inserts: str
    caches: str = "none known"


class Look(NamedTuple):
    """One look at a server that is starting: ready and ours, or not yet, or on another port than it was given."""

    is_ready: bool
    seen: str
    moved_to: int | None = None


class Script(NamedTuple):
    """A script that a snapshot of the server runs, and a remark on its exit code for the readers of its output."""

    path: Path
    exit_note: str = ""


class Needs(NamedTuple):
    """What loaded vectors need: bytes of main memory, bytes in the data folder, vectors that a core adds a second."""

    memory_bytes: int
    disk_bytes: int
    added_a_core_s: float
    explanation: str


class Server(Protocol):
    """The runner's half, made of the system's own settings and its place; it keeps no state of a running server.

    Attributes:
        modes: the ways in which the server can come to run.
        mode: the one that the settings choose.
        capabilities: what it can do.
        how_to_get: the commands that install it, for a person.
        binaries: its native programs by name; their hashes enter a run's fingerprint.
        driver_program: a load generator that comes with it, None if there is none.
        repository: the checkout that it is built from, None if that is compbench's own.
        most_vectors: how many vectors it holds at most, None if no limit is known.
        data_format: changes whenever kept data must be made anew; empty if its data can't be kept.
        rewrites_data: whether it changes files of its data folder in place, so that it must be given copies of kept
            ones.
        endpoint: where it is asked.
        image: the container image by its digest, empty if none is named; looked at in mode `container` only.
    """

    modes: tuple[Mode, ...]
    mode: Mode
    capabilities: Capabilities
    how_to_get: str
    binaries: Mapping[str, Path]
    driver_program: Path | None
    repository: Path | None
    most_vectors: int | None
    data_format: str
    rewrites_data: bool
    endpoint: str
    image: str

    def __init__(self, own: Any, place: Place) -> None:
        """Take the system's settings, of the type in its folder."""

    def missing(self) -> list[str]:
        """Return the names of what it needs to run and that is not installed."""

    def launch(self, work: Path) -> Launch:
        """Return how it is started so that all it writes is in `work` (folders data, config, home, cwd)."""

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run; asked in mode `container` only, as a rule a system has `modes` without it."""

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version, in mode `managed`."""

    def version_told(self) -> str:
        """Return the version that the running server tells, with those of what it has loaded; empty if it tells none.

        In mode `managed` an empty text leaves it at what its programs tell (`versions`), so one that tells less than
        these returns that there.
        """

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the versions that its programs tell, and those that its sources say they should have.

        The server's own comes first, then those of its parts.
        """

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Look once whether the server that was started as `pid` is ready."""

    def answers(self) -> bool:
        """Tell whether it answers at all, asked once."""

    def count(self) -> int | None:
        """Return how many vectors it says that it holds, None if it does not say."""

    def save(self, timeout_s: float) -> str:
        """Let it write its state to its data folder; return why it didn't, or an empty text."""

    def pages(self) -> dict[str, str]:
        """Return addresses that a snapshot asks once, by the name of the text."""

    def metrics(self) -> MetricsPage | None:
        """Return where it tells of its own process, None if nowhere; asked in mode `endpoint` only, as the next two."""

    def ports(self) -> list[int]:
        """Return the ports of its host that driver and runner need."""

    def refusal(self) -> str:
        """Say why it does not let us in, which answers; empty if it does, or where that can't be told."""

    def diagnostics(self) -> Script | None:
        """Return a script of the system's own that a snapshot runs, None if there is none."""

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return the needs of so many vectors, None if they are not known."""

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Say what a running process is if it is a server of this system, `?` if it may be one, else nothing."""

    def entry(self, pid: int) -> list[str]:
        """Return the words before a command line that is to reach the running server; mostly none.

        A server that listens on all addresses is kept in a network namespace of its own, which such a command enters.
        """

    def facts(self) -> Facts:
        """Return what may differ from other systems, given the settings."""


# -- client half -----------------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """The shape of the data: the vectors' dimension, how many spaces hold them apart, and how they are compared.

    Row i of the data set belongs to space i modulo `spaces`; a search sees one space.
    """

    dimension: int
    spaces: int
    metric: SimilarityMetric = "cosine"


class Store(NamedTuple):
    """Store a new vector, shape (dimension,), as `number`, from `STORED_FROM` on."""

    number: int
    space: int
    vector: Vectors


class Search(NamedTuple):
    """Find the nearest vectors to number `query` of the pool, at least as similar as the threshold.

    Only searches by cosine have one; by another metric it is `NO_THRESHOLD`, which is to be left out of the request.
    """

    query: int
    limit: int
    threshold: float
    space: int


class Traverse(NamedTuple):
    """Find all that 1 to `hops` steps along edges lead to from row `start`, up to `limit` of them."""

    start: int
    hops: int
    limit: int


class Complete(NamedTuple):
    """Complete number `query` of the pool, of which every other component is taken away."""

    query: int
    space: int


Operation = Store | Search | Traverse | Complete
# Sends one call outside of any schedule.
Ask = Callable[[Call], "Awaitable[Exchange]"]


class Loading(NamedTuple):
    """The manner of loading a data set, and its present state.

    Attributes:
        there: how many of its first rows each space has already.
        rows_at_once: how many rows one call of `load` may bring, at most.
        in_flight: how many calls may be under way at once.
    """

    there: list[int]
    rows_at_once: int
    in_flight: int


class AnswerError(Exception):
    """An answer has not the shape that the system's answers have."""


class Client(Protocol):
    """The driver's half, made of the system's own settings, where it is asked, and the data set's shape.

    Each process of the driver makes one. The outcome of a call is in its exchange.
    """

    def __init__(self, own: Any, endpoint: str, shape: Shape) -> None:
        """Take the system's settings, of the type in its folder.

        Raises:
            UserError: it can't be asked at such an endpoint.
        """

    def transport(self, size: int) -> Transport:
        """Return a transport of `size` connections, not yet open, for the running event loop."""

    # While measuring: only `encode`, a microsecond or few for all but stores.

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Take the vectors, shape (n, dimension), that searches and completions name by number."""

    def encode(self, operation: Operation) -> Call:
        """Return the call for the operation."""

    # After measuring.

    def ids(self, answer: bytes) -> list[int]:
        """Return what the answer to a search or traversal holds: rows, numbers stored by a run, or `UNKNOWN`.

        Raises:
            AnswerError: it has another shape.
        """

    # Outside of any schedule.

    async def count(self, ask: Ask) -> int | None:
        """Return how many vectors the system says that it holds, None if it does not say.

        Raises:
            UserError: there is no answer at all.
        """

    async def follows_edges(self, ask: Ask) -> bool:
        """Tell whether it can do a `Traverse`."""

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Prepare the server for the first of `count` rows, and look which rows it has already.

        Raises:
            UserError: the rows that it has can't be of this data set.
        """

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Tell whether row `number` is there with another vector than this one, shape (dimension,)."""

    def load(self, first: int, step: int, rows: Vectors) -> Call:
        """Return the call that loads the rows `first`, `first + step` and so on, all of one space."""

    def load_edges(self, pairs: Pairs) -> Call:
        """Return the call that loads directed edges, shape (n, 2), between rows."""

    async def edges_held(self, ask: Ask) -> int | None:
        """Return how many edges it has, None if it takes none."""

    async def build_index(self, ask: Ask) -> str:
        """Build the index that measured searches use, and wait for it; return why that failed, or an empty text.

        One that is there already is left as it is.
        """

    async def begin_measuring(self, ask: Ask) -> None:
        """Let searches look as widely as the settings' `effort` says, where that is no part of each request."""

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Let the system's plan or metrics tell whether a search for `query`, shape (dimension,), uses the index."""

    def floor(self) -> Call:
        """Return the smallest request that the server answers: what protocol and client cost by themselves."""

    async def remove(self, ask: Ask) -> str:
        """Remove what loading has made and nothing else; return why that failed, or an empty text."""
