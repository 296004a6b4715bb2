"""The catalogue of notices and outcomes: each stable code with its text and advice.

Programs go by the code. A text is a template: its `{fields}` are a measurement's own numbers and names, which
`compbench.model.notices` fills in. `docs/notices.md` is this catalogue; tests compare both with every place that tells
a code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_FIELD = re.compile(r"\{(\w+)[^}]*\}")
_UNIT = re.compile("_(?:s|ms|c|gb|pct|ops_s)$")


class Entry(NamedTuple):
    """The text of a code, and its advice.

    Attributes:
        text: one line with `{fields}`; where the last one is empty, the colon before it is left out.
        advice: how to mend it, with fields of the same names; empty where nothing can be done.
        meaning: of the code, where the text is only the words of another program.
    """

    text: str
    advice: str = ""
    meaning: str = ""

    @property
    def fields(self) -> set[str]:
        """Return the names of its fields, which a caller has to give."""
        return fields_of(self.text + self.advice)


_SEE_OUTPUT = "see the driver's output"
_SEE_LOG = "see the last lines of the server's log, which the diagnostics file has too"
_LESS_OR_MORE_MEMORY = "use a smaller data set (scale) or a machine with more memory"

# How a measurement ended; every code that `VERDICTS` does not have is of a failure.
VERDICTS = {
    "passed": "passed",
    "targets-missed": "missed",
    "measurement-invalid": "invalid",
    "machine-crowded": "invalid",
    "not-offered": "not offered",
}
OUTCOMES = {
    "not-offered": Entry(
        "{system} does not offer {what}: nothing was measured", meaning="the system can't do what the scenario asks for"
    ),
    "passed": Entry("{note}", meaning="every target of the scenario is met, or its capacity is found"),
    "targets-missed": Entry(
        "{missed}",
        "the load was {rate_ops_s:.10g} ops/s: see the table of samples for what was short",
        meaning="a target of the scenario is not met",
    ),
    "measurement-invalid": Entry(
        "{why}",
        "mend what it names, or end what is busy here, and measure again",
        meaning="the driver did not keep to its schedule: the figures are not the server's; it says why",
    ),
    "machine-crowded": Entry(
        "{missed}, while others held the cores in {crowded} of {samples} samples",
        "end what is busy here, or wait until it has ended, and measure again",
    ),
    "data-set-not-held": Entry(
        "the server held {held} of {wanted} memories: this is not the scenario's data set: {note}",
        "nothing was measured: it would be another workload; mend what keeps the server from its data",
    ),
    "data-set-size-unknown": Entry(
        "how many memories are to be loaded is not known: {problem}",
        "see why nothing was loaded before this measurement, or set scale to a number",
    ),
    "no-operations": Entry("the driver sent no operation", _SEE_OUTPUT),
    "all-operations-failed": Entry(
        "all {count} operations failed{why}", "see the driver's output, and the server's log"
    ),
    "zero-percentiles": Entry(
        "all percentiles{of_kinds} are 0: all of these operations were slower than is recorded",
        "use driver=builtin, which records without a limit",
        meaning="the driver recorded none of the latencies of one or all kinds of operation: they were too long",
    ),
    "unordered-percentiles": Entry("P50, P95 and P99 are not in order: the report is wrong", "report it"),
    "empty-store": Entry(
        "{note}",
        "see the notes on the data set: the server must hold it to be measured",
        meaning="no answer held a memory of the data set",
    ),
    "ignores-query": Entry(
        "{note}",
        "the server's answers do not depend on what is asked: mend the server",
        meaning="unlike searches got the same answers",
    ),
    "report-unreadable": Entry(
        "{problem}", _SEE_OUTPUT, meaning="the driver's report is not one, or holds impossible values"
    ),
    "driver-error": Entry("the driver ended without a report ({ended}): {said}", _SEE_OUTPUT),
    "driver-usage": Entry(
        "the driver ended without a report ({ended}): {said}", _SEE_OUTPUT, meaning="the driver refused its arguments"
    ),
    "driver-panicked": Entry("the driver panicked ({ended}): {said}", _SEE_OUTPUT),
    "driver-signal": Entry(
        "the driver ended without a report ({ended}): {said}", _SEE_OUTPUT, meaning="a signal ended the driver"
    ),
    "driver-timeout": Entry(
        "the driver was still running {limit_s:g} s after it had begun to measure; it was ended", _SEE_OUTPUT
    ),
    "capacity-none": Entry(
        "{note}",
        "the lowest rate that was tried is too much: see the curve",
        meaning="not even the lowest rate was sustained",
    ),
    "capacity-beyond-driver": Entry(
        "{note}",
        "give the driver more processes (processes=2), or a machine of its own",
        meaning="the driver's own limit ended the search for a capacity",
    ),
    "server-crash": Entry(
        "Server crash detected: the server ended during {during} ({ended}): {cause}",
        "see the last log lines in the diagnostics file, and the server's log",
    ),
    "server-unresponsive": Entry(
        "the server answers no more, though it still runs", "see the server's log, and the samples of its CPU"
    ),
    "endpoint-lost": Entry(
        "{endpoint} answers no more: whether that server has ended, or the way to it, can't be seen from here",
        "see that server's own log, and the network between, and measure again",
    ),
    "server-not-ready": Entry("the server was not ready after {timeout_s:g} s ({seen})", _SEE_LOG),
    "server-ended-at-start": Entry(
        "the server ended before it was ready ({ended}){disk}", _SEE_LOG, meaning="the server ended before it was ready"
    ),
    "place-refused": Entry(
        "the server can't be kept apart by a {tier} any more: {why}",
        "see what has changed (`doit preflight:isolation`), or set isolation=off",
        meaning="the server can't be kept apart as when the run began",
    ),
    "server-not-set-up": Entry(
        "{program} has to succeed before the server is started, and did not ({ended}): {said}",
        _SEE_LOG,
        meaning="a program that has to succeed before the server is started failed",
    ),
    "endpoint-silent": Entry(
        "{endpoint} does not answer as {title} does",
        "start that server, or set system.{system}.endpoint to where it is; a key or password that it wants goes into"
        " the environment ({names})",
    ),
    "container-not-run": Entry("{problem}", _SEE_LOG, meaning="there is no program that runs the container"),
    "work-dir-unusable": Entry(
        "work_dir {folder}: {problem}", "mend its rights, free space there, or set work_dir to another folder"
    ),
    "port-in-use": Entry("port {port} is in use by {owner}", "end that, or choose another port"),
    "port-moved": Entry(
        "the server moved to port {moved_to}, because port {port} was taken meanwhile", "end what holds the port"
    ),
    "foreign-server": Entry(
        "port {port} is answered by {owner}, not by the server that was started", "end that, or choose another port"
    ),
    "binary-missing": Entry(
        "the server's program is gone: {program} is missing or not executable",
        "build it again; a missing program is not tried twice",
    ),
    "other-server": Entry(
        "another server would disturb the measurement: {running}",
        "stop it yourself: compbench ends no process that it did not start",
    ),
    "loopback-unreachable": Entry(
        "127.0.0.1 is not reachable, after retries of 1, 2 and 4 s", "mend the machine's network"
    ),
    "insufficient-memory": Entry(
        "only {available_gb:.1f} GB of memory available; {wanted_gb:g} GB are wanted for a scenario",
        "end what uses memory, or lower min_scenario_memory_gb",
    ),
    "inputs-changed": Entry(
        "changed since the run was opened: {changes}; nothing was measured",
        "undo that, or measure what is there now in a new run: new=1",
    ),
    "no-limit": Entry(
        "{problem}",
        "set expected_p99_latency_ms",
        meaning="the scenario names no P99 that a capacity could be searched for",
    ),
    "internal-error": Entry(
        "a fault in compbench: {error}", "the traceback is in the diagnostics file; please report it"
    ),
}

# Warnings: the measurement went on, and its figures may mean something else than they seem to.
NOTICES = {
    "empty-data-set": Entry("the server holds no memories: searches have nothing to find"),
    "incomplete-data-set": Entry("the data set is incomplete: {held} of {wanted} memories: {note}"),
    "begun-not-kept": Entry(
        "the data set begun is not kept, making it starts over if it is interrupted: {problem}",
    ),
    "effort-not-found": Entry(
        "{system} was asked with its default effort: the one that recall {goal:g} takes is not known",
        "see why it was not found before this measurement, or try doit frontier:{scenario}",
    ),
    "recall-out-of-reach": Entry(
        "no effort of {system} that was tried reaches recall {goal:g}: it was asked with the best one, {effort}",
    ),
    "closed-loop": Entry(
        "Engram's loadtest waits for each answer before it sends the next request", "driver=builtin sends on time"
    ),
    "censored": Entry(
        "Engram's loadtest drops every latency over {limit_ms:g} ms: the percentiles flatter",
        "driver=builtin records all",
    ),
    "text-search": Entry(
        "Engram's loadtest discards the vector of a search: EmbeddingSearch is a text search",
        "driver=builtin sends it",
    ),
    "no-traversal": Entry("{note}", meaning="similarity recalls were measured in place of traversals"),
    "recall-not-checked": Entry(
        "Engram's loadtest checks no answers: recall is not judged", "driver=builtin checks a sample"
    ),
    "neighbours-not-kept": Entry(
        "the exact neighbours are not kept, so that every run computes them anew: {problem}",
    ),
    "overran": Entry("the driver took {took_s:.0f} s for {planned_s:g} s: single requests have held it up"),
    "host-differs": Entry(
        "{told}: all send shares of one schedule to one server",
        "look at that host, its load and its way to the server: the pooled figures hold its own as well",
    ),
    "driver-disagrees": Entry(
        "the driver ended with {ended}, but its report {said}: the scenario is judged by the report"
    ),
    "driver-saturated": Entry(
        "the driver used {value:.0f} % of each core that it can use, more than {limit:.0f} %: it may have been too"
        " slow itself, so that the server looks slower than it is",
        "lower the rate or use a faster driver (processes=2)",
    ),
    "driver-output-cut": Entry(
        "the driver printed {left_out} bytes more than max_output_mb allows; they were left out of its output",
        "raise max_output_mb",
    ),
    "output-not-written": Entry("{file} is incomplete: {problem}", "free space on the disk"),
    "other-processes": Entry(
        "other processes used the cores meanwhile: {busy}", "end them, or measure when they have ended"
    ),
    "busy-machine": Entry(
        "load average {load:.2f} and {busy_pct:.0f} % of the cores' time in use before the scenario: something else is"
        " busy on this machine: {busy}",
        "end what else runs",
    ),
    "hot-machine": Entry("{heat_c:.0f} C before the scenario: the CPU may throttle", "lengthen cooldown_s"),
    "throttled-machine": Entry(
        "heat throttled the CPU {times} times since the last measurement: it has not cooled down",
        "lengthen cooldown_s",
    ),
    "not-quiet": Entry(
        "the machine did not become quiet within {limit_s:g} s ({why}): measured all the same",
        "end what is busy, or raise quiet_timeout_s",
    ),
    "low-cpu": Entry(
        "the server used {value:.0f} % of a core on average, less than {limit:.0f} %: something else may be the"
        " bottleneck",
        "look at I/O wait, the driver's CPU, and whether the offered rate was reached at all",
    ),
    "low-cpu-elsewhere": Entry(
        "the server, which ran elsewhere, used {value:.0f} % of a core on average, less than {limit:.0f} %: something"
        " else may be the bottleneck",
        "look at the disks of the server's machine, which are not known here, the round trip, the driver's CPU, and"
        " whether the offered rate was reached at all",
    ),
    "memory-full": Entry(
        "{value:.0f} % of the machine's memory was in use, more than {limit:.0f} %: the kernel may kill the server",
        _LESS_OR_MORE_MEMORY,
    ),
    "io-wait": Entry(
        "the cores waited for disks {value:.0f} % of the time on average, more than {limit:.0f} %: the disk is the"
        " bottleneck",
        "use a faster disk, or a data set that fits into memory",
    ),
    "steal": Entry(
        "the hypervisor gave {value:.0f} % of the CPU time to others, more than {limit:.0f} %: the figures depend on"
        " the neighbours",
        "use a dedicated machine, or measure again and compare",
    ),
    "thermal-throttling": Entry(
        "heat throttled the CPU {value:.0f} times: the figures are lower than this machine can do",
        "let it cool down, lengthen cooldown_s, and measure again",
    ),
    "quota-throttling": Entry(
        "the container's CPU quota stopped its processes {value:.0f} times: latencies contain these stops",
        "raise the CPU limit of the container and measure again",
    ),
    "clock-drop": Entry(
        "the fastest core's clock fell by {value:.0f} %, more than {limit:.0f} %: the later seconds were measured on a"
        " slower CPU (heat, power limit, end of turbo)",
        "fix the clock or use the performance governor",
    ),
    "oom-kill": Entry(
        "the kernel killed {value:.0f} processes for lack of memory while this was measured: the result can't be"
        " trusted",
        _LESS_OR_MORE_MEMORY,
    ),
    "memory-limit-reached": Entry(
        "the kernel killed {count} of the server's processes for its own limit, memory_limit_gb = {limit_gb:g}: the"
        " result can't be trusted",
        "raise memory_limit_gb, for all systems alike, or use less data (scale)",
    ),
    "swap-used": Entry(
        "{value:.1f} GB of swap were in use, more than {limit:.0f} GB: parts of the server may have been on disk",
        "end other programs or use a machine with more memory",
    ),
    "swap-thrashing": Entry(
        "the machine swapped {value:.0f} MB/s over several samples: memory was too small and latencies contain disk"
        " accesses",
        _LESS_OR_MORE_MEMORY,
    ),
    "network-errors": Entry(
        "loopback had {value:.0f} errors or dropped packets: lost packets are sent again and look like slow answers",
        "look at `ip -s link show lo` and at the socket buffers' limits",
    ),
    "server-metrics-lost": Entry(
        "{lost} of {asked} samples have no figures of the server: {url}: {problem}",
        "see whether that page still answers, and how fast",
    ),
    "network-mostly": Entry(
        "an empty request took {round_trip_ms:.2f} ms at P50, more than half of the P50 of {p50_ms:.2f} ms: these"
        " latencies are mostly the network's, the protocol's, and what the server takes for any request at all",
        "measure from nearer to the server to learn what the server itself takes",
    ),
    "round-trip-unknown": Entry(
        "what an empty request takes to the server and back is not known: {why}",
        "how much of the latencies is the network's can't be told",
    ),
    "start-retried": Entry("{problem}; trying once more in {delay_s:g} s"),
    "server-killed": Entry("the server did not stop within {grace_s:g} s of SIGTERM and was killed"),
    "data-left": Entry(
        "what was loaded into {endpoint} may still be there: {problem}",
        "remove it there by its own means; data of this scenario is found and removed by the next measurement",
    ),
    "port-not-freed": Entry("port {port} is still in use after the server has stopped"),
    "page-cache-kept": Entry("the page cache was not dropped: {why}"),
    "descriptors-leaked": Entry("leaked descriptors: {leaks}"),
    "no-flamegraph": Entry("no flame graph: {why}"),
    "page-open": Entry("a living page was open while this was measured", "docs/live.md tells what that costs"),
}


def notices_as_markdown() -> str:
    """Return the catalogue as the two tables of `docs/notices.md`."""
    outcomes = [(f"`{code}`", VERDICTS.get(code, "failed"), *_cells(entry)) for code, entry in OUTCOMES.items()]
    notices = [(f"`{code}`", *_cells(entry)) for code, entry in NOTICES.items()]
    return "\n".join(
        [
            table("How a measurement ended", ("code", "outcome", "what it says", "what to do"), outcomes),
            table("Warnings", ("code", "what it says", "what to do"), notices),
        ]
    )


def fields_of(text: str) -> set[str]:
    """Return the names of a template's fields."""
    return set(_FIELD.findall(text))


def filled(text: str, fields: Mapping[str, object]) -> str:
    """Return a template with its fields; without the colon before a last one that is empty.

    Raises:
        KeyError: a field is missing.
    """
    return text.format_map(fields).rstrip().removesuffix(":")


def table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a section of `docs/notices.md`; a template's fields are in italics, without the units in their names."""
    shown = [[_FIELD.sub(_in_italics, cell) for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *shown]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(entry: Entry) -> tuple[str, str]:
    return entry.meaning or entry.text, entry.advice


def _in_italics(field: re.Match[str]) -> str:
    return f"*{_UNIT.sub('', field[1]).replace('_', ' ')}*"
