"""The catalogue of what compbench tells of a measurement: each stable code, what it means, and what to do about it.

Programs go by the code; the text beside it has this measurement's own numbers and may change. `docs/notices.md` is this
catalogue, and a test holds both to the codes that are used.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """What a code means, and what to do; nothing to do is an empty text."""

    meaning: str
    advice: str = ""


# Why a measurement did not pass.
OUTCOMES = {
    "targets-missed": Entry("a target of the scenario was not met", "see the table of samples for what was short"),
    "measurement-invalid": Entry(
        "driver or machine spoiled the measurement",
        "mend what it names, or end what else is busy here, and measure again",
    ),
    "machine-crowded": Entry(
        "a target of time was missed while other processes held the cores",
        "end what is busy here, or wait until it has ended, and measure again",
    ),
    "data-set-not-held": Entry(
        "the server did not hold the scenario's data set", "mend what keeps the server from its data"
    ),
    "no-operations": Entry("the driver sent nothing", "see the driver's output"),
    "all-operations-failed": Entry("every operation failed", "see the driver's output, and the server's log"),
    "zero-percentiles": Entry(
        "the driver recorded none of the latencies, which were all too long",
        "use driver=builtin, which records without a limit",
    ),
    "unordered-percentiles": Entry("the report contradicts itself: its percentiles are not in order", "report it"),
    "empty-store": Entry(
        "no answer held a memory of the data set",
        "see the notes on the data set: the server must hold it to be measured",
    ),
    "ignores-query": Entry(
        "unlike searches got the same answers",
        "the server's answers do not depend on what is asked: mend the server",
    ),
    "report-unreadable": Entry("the driver's report is not one, or holds impossible values", "see the driver's output"),
    "driver-error": Entry("the driver ended without a report", "see the driver's output"),
    "driver-usage": Entry("the driver refused how it was called", "see the driver's output"),
    "driver-panicked": Entry("the driver panicked", "see the driver's output"),
    "driver-signal": Entry("a signal ended the driver", "see the driver's output"),
    "driver-timeout": Entry("the driver did not end in time, and was ended", "see the driver's output"),
    "capacity-none": Entry(
        "not even the lowest rate was sustained", "the lowest rate that was tried is too much: see the curve"
    ),
    "capacity-beyond-driver": Entry(
        "the driver's own limit ended the search for a capacity",
        "give the driver more processes (processes=2), or a machine of its own",
    ),
    "server-crash": Entry("the server ended while it was measured", "see the last log lines in the diagnostics file"),
    "server-unresponsive": Entry("the server answered nothing any more", "see its log, and the samples of its CPU"),
    "server-not-ready": Entry("the server was not ready in time", "see the last lines of its log"),
    "server-ended-at-start": Entry("the server ended before it was ready", "see the last lines of its log"),
    "port-in-use": Entry("something else listens on the port", "end it, or choose another port"),
    "port-moved": Entry("the server listens on another port than it was given", "end what holds the port"),
    "foreign-server": Entry("another program answers in the server's place", "end it, or choose another port"),
    "binary-missing": Entry("a program is not there any more", "build it again; a missing program is not tried twice"),
    "other-server": Entry("another server would disturb the measurement", "end it"),
    "loopback-unreachable": Entry("127.0.0.1 is not reachable", "mend the machine's network"),
    "insufficient-memory": Entry(
        "too little memory is available", "end what uses memory, or lower min_scenario_memory_gb"
    ),
    "inputs-changed": Entry(
        "scenario or binary is not what the run began with",
        "undo that, or measure what is there now in a new run: new=1",
    ),
    "no-limit": Entry("the scenario names no P99 that a capacity could be searched for", "set expected_p99_latency_ms"),
    "internal-error": Entry("a fault in compbench", "the traceback is in the diagnostics file; please report it"),
}

# Warnings: the measurement went on, and its figures may mean something else than they seem to.
NOTICES = {
    "scaled-down": Entry("the data set is smaller than the scenario's", "`scale=1` measures the whole"),
    "empty-data-set": Entry("the server holds nothing: searches have nothing to find"),
    "incomplete-data-set": Entry("the server holds less than was wanted"),
    "begun-not-kept": Entry("what was made of a data set could not be kept"),
    "closed-loop": Entry("the driver waits for each answer before the next request", "driver=builtin sends on time"),
    "censored": Entry("the driver drops long latencies: percentiles flatter", "driver=builtin records all"),
    "text-search": Entry("the driver discards the vectors of searches", "driver=builtin sends them"),
    "no-traversal": Entry("similarity recalls were measured in place of traversals"),
    "recall-not-checked": Entry("no answers were checked", "driver=builtin checks a sample"),
    "overran": Entry("single requests held the driver up far beyond its time"),
    "driver-disagrees": Entry("the driver's exit code contradicts its own report, which decides"),
    "driver-saturated": Entry("the driver used its cores to the full", "give it more: processes=2"),
    "driver-output-cut": Entry("the driver printed more than is kept", "raise max_output_mb"),
    "output-not-written": Entry("what was printed could not be written", "free space on the disk"),
    "other-processes": Entry("other processes used the cores meanwhile", "end them, or measure when they have ended"),
    "busy-machine": Entry("the machine was busy before the scenario", "end what else runs"),
    "hot-machine": Entry("the machine was hot before the scenario", "allow a longer cooldown_s"),
    "throttled-machine": Entry("the CPU was throttled since the last measurement", "cool the machine"),
    "not-quiet": Entry(
        "the machine did not become quiet in the time allowed", "end what is busy, or raise quiet_timeout_s"
    ),
    "low-cpu": Entry("the server used little of the CPU: something else may limit it"),
    "memory-full": Entry("the machine's memory was nearly full", "use a smaller scale, or more memory"),
    "io-wait": Entry("the cores waited for disks"),
    "steal": Entry("the hypervisor gave the cores to others", "measure on a machine of your own"),
    "thermal-throttling": Entry("heat throttled the CPU", "cool the machine"),
    "quota-throttling": Entry("the container's CPU quota stopped its processes", "raise the quota"),
    "clock-drop": Entry("the CPU's clock fell while it was measured"),
    "oom-kill": Entry("the kernel killed processes for lack of memory", "use a smaller scale, or more memory"),
    "swap-used": Entry("swap was in use", "use a smaller scale, or more memory"),
    "swap-thrashing": Entry("the machine swapped all the time", "use a smaller scale, or more memory"),
    "network-errors": Entry("loopback lost packets"),
    "start-retried": Entry("the server was started a second time"),
    "server-killed": Entry("the server did not stop when it was asked to"),
    "port-not-freed": Entry("the server's port was not free after its end"),
    "page-cache-kept": Entry("the page cache could not be emptied"),
    "descriptors-leaked": Entry("open files were left over"),
    "no-flamegraph": Entry("no flame graph could be made"),
}


def advice_on(code: str) -> str:
    """Return what to do about an outcome; empty if there is nothing, or the code is not in the catalogue."""
    entry = OUTCOMES.get(code)
    return entry.advice if entry else ""


def as_markdown() -> str:
    """Return the catalogue as the two tables of `docs/notices.md`."""
    titles = {"Why a measurement did not pass": OUTCOMES, "Warnings": NOTICES}
    return "\n".join(
        f"## {title}\n\n| code | what it means | what to do |\n|---|---|---|\n"
        + "".join(f"| `{code}` | {entry.meaning} | {entry.advice} |\n" for code, entry in entries.items())
        for title, entries in titles.items()
    )
