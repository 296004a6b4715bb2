"""The catalogue of the findings of preflight checks: each code with its text, the wanted state, and how to mend it.

The sister of `compbench.model.catalogue`: texts are templates, whose `{fields}` are what a check has read. A check that
is about one figure has one code, named after it, and the level says how the figure is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from compbench.model.catalogue import fields_of, filled, table
from compbench.model.records import Finding, Level


class Template(NamedTuple):
    """The finding, the wanted state, and how to mend it, which is said of a finding that is not ok."""

    found: str
    wanted: str = ""
    mend: str = ""

    @property
    def fields(self) -> set[str]:
        """Return the names of its fields, which a check has to give."""
        return fields_of("".join(self))


_MILDEST_FIRST: tuple[Level, ...] = ("ok", "note", "warning", "critical")
_RELEASE_BUILD = "an executable release build"
_DATA_SETS = "data sets that fit into memory, disk and time"
_PRIORITY = "server and driver run {rank} (niceness {niceness})"
_MANY_MEMORIES = "at least {fewest} memories, or all that the scenario means"

FINDINGS = {
    "system": Template("{system} ({reason})"),
    "system-makeshift": Template(
        "{title} is measured instead of {others}: {reason}",
        mend="{how}, or say that {title} is meant: system={system}",
    ),
    "program-missing": Template("{path} is missing", _RELEASE_BUILD, "{build}"),
    "program-not-executable": Template("{path} is not executable", _RELEASE_BUILD, "{build}"),
    "program": Template("{name}: {kind} ({why})", _RELEASE_BUILD, "{build}"),
    "not-used": Template("not used: {why}"),
    "parts-missing": Template("{owner} lacks {missing}", mend="{how}"),
    "mode-unsupported": Template(
        "{title} is to run in mode {mode}, which its folder does not offer",
        "a mode of: {modes}",
        "set system.{system}.mode to one of these",
    ),
    "endpoint-unset": Template(
        "{title} is to run in mode endpoint, but where it is asked is not set",
        mend="set system.{system}.endpoint to its address, as http://host:port",
    ),
    "endpoint-silent": Template(
        "{endpoint} does not answer as {title} does",
        mend="start that server, or set system.{system}.endpoint to where it is; a key or password that it wants goes"
        " into the environment ({names})",
    ),
    "endpoint-unresolved": Template(
        "{endpoint}: the name {host} can't be resolved: {why}",
        "a name that this machine can look up",
        "set system.{system}.endpoint to another name, or to an address",
    ),
    "endpoint-unreached": Template(
        "{endpoint}: no connection to port {port} of {host}: {why}",
        "every port that is needed can be connected to",
        "start the server there, open that port in the firewalls between, or set system.{system}.endpoint (and the"
        " other keys of its ports) to where it is",
    ),
    "endpoint-untrusted": Template(
        "{endpoint}: its certificate is not accepted: {why}",
        "a certificate for this name, of a known authority",
        "give it such a one, or name further authorities: SSL_CERT_FILE=/path/to/authorities.pem",
    ),
    "endpoint-refused": Template(
        "{endpoint} does not answer us: {why}",
        "a key or password that it accepts",
        "put it into the environment ({names})",
    ),
    "endpoint": Template("{endpoint} answers: {version}; {metrics}"),
    "clock": Template("the clock of {where} is ours, as far as whole seconds tell"),
    "clock-off": Template(
        "the clock of {where} is {off_s:.0f} s {direction} ours",
        "at most {most_s:g} s apart",
        "let both machines ask a time server; latencies are of this machine's clock alone, but lines of the server's"
        " log can't be set beside them",
    ),
    "round-trip": Template("a connection to {where} takes {median_ms:.2f} ms, at worst {worst_ms:.2f} ms of {tried}"),
    "connections-lost": Template(
        "{lost} of {tried} connections to {where} failed",
        "all succeed",
        "see whether its network loses packets, or the server is at its limit of connections",
    ),
    "far-away": Template(
        "a connection to {where} takes {median_ms:.2f} ms, at worst {worst_ms:.2f} ms: {scenario} wants a P99 of"
        " {target_ms:g} ms",
        "a way there and back in less than half of that",
        "measure from nearer to the server: its latencies would be mostly the network's",
    ),
    "bandwidth": Template(
        "{needed}: {share_pct:.3g} % of what {interface} carries ({link_mbit:g} Mbit/s); what lies behind it is not"
        " known",
        "at most {most_pct:.0f} % of the interface's rate",
        "use a faster network, or send less (a lower rate, or vectors of fewer dimensions)",
    ),
    "bandwidth-loopback": Template("{needed}; it stays within this machine, which has no rate for that"),
    "bandwidth-unknown": Template(
        "{needed}; what the way there carries is not known ({interface} does not tell its rate)",
        "more than that",
        "measure it by other means (`iperf3`) if it may be near to that",
    ),
    "hosts": Template("{count} hosts: {told}"),
    "hosts-missing": Template(
        "{problem}", "hosts that can send", "mend that, or send from here alone: hosts= scheduler="
    ),
    "hosts-apart": Template(
        "{hosts} are to ask {endpoint}, which is on this machine alone",
        "a server that all hosts reach",
        "start it where they reach it, and measure it in mode endpoint, or use hosts=local:3",
    ),
    "hosts-unlike": Template(
        "{names}: another compbench than here", "the same on every host", "install there what is installed here"
    ),
    "hosts-cut-off": Template(
        "{endpoint} can't be reached from {names}", "a server that all hosts reach", "look at the network and its rules"
    ),
    "image-unset": Template(
        "{title} is to run in mode container, but no image is named",
        mend="set system.{system}.image to an image by its digest, as name@sha256:...",
    ),
    "image-missing": Template("{tool} has no image {image}", mend="{tool} pull {image}"),
    "image": Template("{tool} has the image {image}"),
    "driver-unknown": Template("{problem}"),
    "versions": Template("{told}", "{expected}"),
    "versions-told": Template("{told}", "any version: it is installed, not built from a checkout"),
    "versions-differ": Template("{wrong}", "{expected}", "build again: the binaries are not those of the checkout"),
    "versions-incomparable": Template(
        "{names}: can't be compared: no cargo, or no workspace of it, is readable here{known}",
        "the checkout's versions",
        "install cargo, or see for yourself that the binaries are those of the checkout",
    ),
    "scenarios": Template("{count}: {names}"),
    "scenarios-invalid": Template("{problem}", "valid scenario files"),
    "dimension-refused": Template(
        "{names}: data.embedding_dim is not {dimension}",
        "{dimension}",
        "set it to {dimension}: {title} refuses every other dimension",
    ),
    "dimension-too-large": Template(
        "{names}: data.embedding_dim is above {most}",
        "at most {most}",
        "set it to at most {most}: {title} refuses vectors of more dimensions",
    ),
    "own-sets": Template("{described}"),
    "own-sets-repeat": Template(
        "{remarks}", "rows that differ", "leave repetitions out of the file, unless the set is meant to have them"
    ),
    "own-sets-refused": Template("{problems}", "files of vectors that fit their scenarios"),
    "metric-refused": Template(
        "{odd}",
        "a metric that {title} searches by: {offered}",
        "set data_set.metric to such a one, or measure another system",
    ),
    "scale": Template("{counts}", _MANY_MEMORIES),
    "scale-too-small": Template(
        "{counts}", _MANY_MEMORIES, "set scale={least:.2g} or more: of so few memories every answer is right"
    ),
    "data-sets-fit": Template("largest: {largest}, {available_gb:.1f} GB available", _DATA_SETS),
    "data-sets-too-large": Template(
        "{problems}", _DATA_SETS, "set that scale, or leave such a scenario out (`doit run:<another>`)"
    ),
    "not-judged": Template("not judged: {why}"),
    "folder": Template("{folder} can be written"),
    "folder-not-writable": Template(
        "{folder} can't be written: {problem}", mend="mend its rights, free space, or set {setting} to another folder"
    ),
    "disk": Template(
        "{free_gb:.1f} GB free for {folder}", "at least {least_gb:g} GB, better {better_gb:g} GB", "free space"
    ),
    "disk-full": Template(
        "Insufficient disk space: {free_gb:.1f} GB free for {folder}",
        "at least {least_gb:g} GB, better {better_gb:g} GB",
        "free space",
    ),
    "leftovers": Template("{left}; `doit clean` removes them"),
    "leftovers-none": Template("none"),
    "runs-damaged": Template("{problem}"),
    "memory": Template(
        "{available_gb:.1f} GB available of {total_gb:.1f} GB",
        "at least {least_gb:g} GB available, {better_gb:g} GB in all",
        "end what uses memory",
    ),
    "governors": Template("governor {governors}", "performance", "sudo cpupower frequency-set -g performance"),
    "temperature": Template("{value:.0f} C", "at most {limit:g} C", "let the machine cool down"),
    "load": Template("load average {value:.2f} over 1 min", "at most {limit:g}", "wait, or end what is busy"),
    "priority-behind": Template(_PRIORITY, "niceness {wanted}", "start doit without `nice`"),
    "priority": Template(
        _PRIORITY,
        "niceness {wanted}",
        "let this user have it, so that other programs disturb less: `nice {wanted}` in /etc/security/limits.conf, or"
        " the right SYS_NICE in a container",
    ),
    "isolation": Template(
        "{told}",
        "server and driver apart, the driver in real time",
        "{why}; `rtprio 2` in /etc/security/limits.conf, or the right SYS_NICE in a container, gives real time",
    ),
    "isolation-off": Template("server and driver share all cores (isolation = off), {limits}"),
    "isolation-none": Template(
        "server and driver share all cores: {why}", "server and driver apart", "use a machine with more cores"
    ),
    "isolation-refused": Template(
        "{asked} can't be had here: {why}", "server and driver on these CPUs", "name others, or isolation=auto"
    ),
    "memory-limit-refused": Template(
        "the server can't be kept within memory_limit_gb = {limit_gb:g} here: {why}",
        "a control group with a memory limit",
        "start doit as a user who may make one (root, or `systemd-run --user --scope doit`), or leave the limit out",
    ),
    "not-readable": Template("not readable here: {why}"),
    "servers-none": Template("no other server is running", "none"),
    "servers-running": Template(
        "running: {running}",
        "no other server",
        "stop it yourself: compbench ends no process that it did not start",
    ),
    "servers-beside": Template(
        "running: {running}",
        "no server of a rival at other work",
        "stop it while you measure, if you can: it takes memory, and may take time of the cores",
    ),
    "servers-hidden": Template(
        "{count} process(es) that may be a server, whose executable is not readable here",
        "no other server",
        "look with `ps`",
    ),
    "port-free": Template("port {port} is free", "a free port"),
    "port-taken": Template("port {port} is in use by {owner}", "a free port", "stop it, or set port = N"),
    "loopback": Template("127.0.0.1 answers"),
    "loopback-dead": Template(
        "127.0.0.1 does not answer, after retries of 1, 2 and 4 s", "a loopback interface that is up"
    ),
    "open-files": Template(
        "{limit} open files are allowed to a process", "at least {needed}", "ulimit -n {needed}, or fewer connections"
    ),
    "tools": Template("all there", "on the PATH"),
    "tools-missing": Template("missing: {missing}", "on the PATH", "install them if you want that"),
    "counters": Template("what a request costs can be counted: cycles and instructions{kernel}, switches and faults"),
    "counters-missing": Template(
        "can't be counted here: {missing}",
        "`perf`, allowed to count, and a processor that gives its counters",
        "nothing else is lost, and `counters = false` counts nothing: pages say `not readable here`",
    ),
    "tools-needed": Template("missing: {missing}", "on the PATH", "install them"),
    "suite-none": Template("no other suite is running"),
    "suite-running": Template("a suite is running: {holder}", "one at a time", "wait until it has finished"),
}


def finding_of(check: str, code: str, level: Level, **fields: object) -> Finding:
    """Return the finding of a check, by its code; a missing field is a KeyError."""
    found, wanted, mend = (filled(text, fields) for text in FINDINGS[code])
    return Finding(check=check, code=code, level=level, found=found, wanted=wanted, mend="" if level == "ok" else mend)


def joined(findings: Mapping[str, Finding], *, of_rivals: bool) -> Finding:
    """Return the findings of one check of several systems or variants, by name, the subject first, as one.

    What is critical for a rival is a warning for the run. Where all say the same, it is said once.
    """
    subject, *others = findings.values()
    spared = "critical" if of_rivals else None
    levels = [subject.level, *("warning" if other.level == spared else other.level for other in others)]
    worst = max(levels, key=_MILDEST_FIRST.index)

    def text(name: str) -> str:
        of_each = {system: getattr(finding, name) for system, finding in findings.items() if getattr(finding, name)}
        if len(set(of_each.values())) == 1 and len(of_each) in (1, len(findings)) and name != "found":
            return str(next(iter(of_each.values())))
        return "; ".join(f"{system}: {said}" for system, said in of_each.items())

    return msgspec.structs.replace(
        subject, level=worst, found=text("found"), wanted=text("wanted"), mend=text("mend") if worst != "ok" else ""
    )


def findings_as_markdown() -> str:
    """Return the catalogue as the table of `docs/notices.md`."""
    rows = [(f"`{code}`", *template) for code, template in FINDINGS.items()]
    return table("Preflight", ("code", "what it says", "what is wanted", "what to do"), rows)
