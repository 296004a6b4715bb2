"""What a server elsewhere tells of its process: its text, and how samples come by it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from compbench.machine.probes.counters import MachineCounters
from compbench.machine.probes.told_counters import ToldCounters, read_told
from compbench.machine.sampler import Sampler
from compbench.machine.sampling import Reading, interval
from compbench.machine.server_metrics import MetricsError, MetricsPage, MetricsReader, ask_for_metrics

PAGE = """\
# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
process_resident_memory_bytes 1.048576e+06
process_virtual_memory_bytes{job="x"} 2000000 1700000000000
process_open_fds 17\r
process_threads 9
process_cpu_seconds_total_of_something 99
"""


def test_the_lines_of_a_process_are_read_and_no_others() -> None:
    assert read_told(PAGE, 3.0) == ToldCounters(
        told_at_s=3.0, cpu_s=12.5, resident_bytes=1_048_576, virtual_bytes=2_000_000, threads=9, open_files=17
    )


@pytest.mark.parametrize(
    "said", ["NaN", "+Inf", "-1", "many", "1e300", "1e999", "1_000", "0x10", "9223372036854775808"]
)
def test_a_value_that_is_no_amount_is_not_told(said: str) -> None:
    assert read_told(f"process_cpu_seconds_total {said}\n", 0).cpu_s is None


def test_of_two_values_of_one_name_none_is_taken_for_the_server_s() -> None:
    text = 'process_resident_memory_bytes{node="a"} 5\nprocess_resident_memory_bytes{node="b"} 6\n'
    assert read_told(text, 0).is_empty


def test_braces_within_a_label_belong_to_it() -> None:
    text = 'process_open_fds{path="/a/{id}",said="a \\"}\\" b"} 5\n'
    assert read_told(text, 0).open_files == 5
    assert read_told(2 * text, 0).is_empty, "it stands there twice"
    assert read_told("process_open_fds{\n} 5\n", 0).is_empty, "a line ends where it ends"
    for more in range(20):
        long = read_told("process_open_fds" + (4080 + more) * " " + "123\n", 0).open_files
        assert long in (123, None), "of a line that is too long no part of its number is taken"


@pytest.mark.parametrize(
    "line", ["a{\n", "process_threads{\n", "process_threads{a", "process_threads ", 'process_threads{"']
)
def test_a_page_of_any_content_is_read_in_time_with_its_length(line: str) -> None:
    """Thirty times as much may not take hundreds of times as long; it is read while no other thread has its turn."""

    def took_s(copies: int) -> float:
        text, found = line * copies, []
        for _ in range(3):
            began = time.perf_counter()
            read_told(text, 0)
            found.append(time.perf_counter() - began)
        return min(found)

    assert took_s(90_000) < 300 * max(took_s(3_000), 2e-5)


def test_a_system_s_own_name_is_read_where_it_lacks_the_usual_one() -> None:
    own = {"resident_bytes": "memory_resident_bytes"}
    told = read_told("memory_resident_bytes 7\n", 0, own)
    assert (told.resident_bytes, told.by_own) == (7, ("resident_bytes",))
    assert read_told("memory_resident_bytes 7\nprocess_resident_memory_bytes 8\n", 0, own).by_own == ()


def test_cpu_is_a_rate_over_the_time_between_what_was_told_and_not_between_samples() -> None:
    def at(elapsed_s: float, told_at_s: float, cpu_s: float) -> Reading:
        told = ToldCounters(told_at_s=told_at_s, cpu_s=cpu_s, resident_bytes=5)
        return Reading(elapsed_s=elapsed_s, machine=MachineCounters(), server=told)

    sample = interval(at(0.0, 10.0, 1.0), at(5.0, 14.0, 3.0))
    assert (sample.cpu_pct, sample.memory_bytes, sample.threads) == (50.0, 5, None)
    again = interval(at(0.0, 10.0, 3.0), at(5.0, 15.0, 0.1))
    assert again.cpu_pct is None, "a server that was started again has no rate"


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve a page; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()


def tell(request: BaseHTTPRequestHandler, text: str = PAGE, status: int = 200) -> None:
    """Answer a request."""
    request.send_response(status)
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text.encode())


def test_samples_have_what_the_server_tells_and_a_page_that_fails_costs_only_that() -> None:
    asked: list[float] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(time.monotonic())
        tell(request, status=200 if len(asked) < 4 else 500)

    with serving(answer) as url:
        reader = MetricsReader(MetricsPage(url))
        sampler = Sampler(None, 0.2, metrics=reader)
        sampler.start()
        while len(sampler.samples()) < 4:
            time.sleep(0.05)
        samples = sampler.stop()
    assert [sample.memory_bytes for sample in samples[:4]] == [1_048_576, 1_048_576, None, None]
    assert samples[0].cpu_pct == 0.0
    assert samples[3].machine_memory_pct is not None
    assert reader.lost >= 2, reader.problem
    assert reader.problem == "it answers 500"


def test_a_page_that_never_answers_delays_no_sample_and_is_asked_by_one_thread_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        page = MetricsPage(f"http://127.0.0.1:{silent.getsockname()[1]}/metrics")
        sampler = Sampler(None, 0.25, metrics=MetricsReader(page, limit_s=0.1))
        sampler.start()
        time.sleep(1.4)
        most = sum(thread.name == "metrics" for thread in threading.enumerate())
        began = time.monotonic()
        samples = sampler.stop()
        ended_s = time.monotonic() - began
    # A late sample covers the time of the one that it skips; here each came in its own time.
    assert all(abs(sample.elapsed_s / 0.25 - round(sample.elapsed_s / 0.25)) < 0.45 for sample in samples[:-1])
    assert len(samples) >= 3
    assert most <= 1
    assert ended_s < 5
    assert all(sample.cpu_pct is None and sample.memory_bytes is None for sample in samples)


def test_why_a_page_tells_nothing_is_said_in_a_line() -> None:
    with serving(lambda request: tell(request, "go_threads 5\n")) as url, pytest.raises(MetricsError, match="nothing"):
        ask_for_metrics(MetricsPage(url))
    with serving(lambda request: tell(request, status=404)) as url, pytest.raises(MetricsError, match="answers 404"):
        ask_for_metrics(MetricsPage(url))
    with pytest.raises(MetricsError, match="refused"):
        ask_for_metrics(MetricsPage(url))
