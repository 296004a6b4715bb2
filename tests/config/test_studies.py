"""Studies: which variants of one system they measure, and by which settings these differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from compbench.config.settings import Settings
from compbench.model.errors import UserError
from compbench.systems import registry
from compbench.systems.registry import load_settings


def duet(root: Path, **variables: str) -> Settings:
    return load_settings(root, {}, variables, run_kind="duet")


def test_a_duet_is_of_the_system_that_has_builds_each_with_its_own_program(tmp_path: Path) -> None:
    settings = duet(tmp_path, base="old", head="new")
    assert (settings.system, settings.driver, settings.compared) == ("engram", "builtin", ("base", "head"))
    programs = {each.contender: registry.server_of(each).binaries["engram"] for each in settings.of_each}
    assert programs == {name: tmp_path / f"{root}/target/release/engram" for name, root in variants().items()}
    assert settings.of("base").of("head") == settings.of("head")
    assert settings.contender == ""
    assert registry.server_of(settings).repository == tmp_path / "new", "the run is about the newer one"
    assert settings.of("base").alone.of_each == [settings.of("base").alone]


def variants() -> dict[str, str]:
    return {"base": "old", "head": "new"}


def test_a_duet_has_short_rounds_unless_they_are_set(tmp_path: Path) -> None:
    short = duet(tmp_path, **variants())
    assert (short.duration_s, short.warm_up_s, short.cooldown_s, short.flamegraph) == (5, 1.0, 1.0, False)
    assert short.repeat > 1
    asked = duet(tmp_path, **variants(), duration_s="7", repeat="7", profile="quick")
    assert (asked.duration_s, asked.repeat, asked.cooldown_s) == (7, 7, 1.0)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"base": "x"}, "without head= there are no two builds: `doit duet base=<root of one build>"),
        ({}, "without base= and head= there are no two builds"),
        (
            {"base": "x", "head": "y", "system": "embedded"},
            "no setting of compbench's embedded server says which build",
        ),
        ({"base": "x", "head": "y", "system": "embedded,qdrant"}, "duet: it is about one system, and system = "),
        ({"base": "x", "head": "y", "driver": "loadtest"}, "several systems or builds are compared by driver=builtin"),
        ({"base": "x", "head": "y", "repeat": "5"}, "repeat = 5: so few pairs never tell builds apart: at least 6"),
        ({"base": "x", "head": "\0"}, "command line: head = .*not a path"),
    ],
)
def test_what_is_no_duet_is_refused_in_one_line(tmp_path: Path, variables: dict[str, str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        duet(tmp_path, **variables)


def test_noise_is_measured_with_and_without_isolation_by_settings_that_are_otherwise_the_same(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {}, {"system": "embedded"}, run_kind="noise")
    assert [(each.variant, each.isolation) for each in settings.of_each] == [("off", "off"), ("auto", "auto")]
    assert {each.system for each in settings.of_each} == {"embedded"}
    assert load_settings(tmp_path, {}, {"system": "embedded"}).compared == ()


def test_an_isolation_that_is_set_is_not_overridden_silently_by_a_study_of_noise(tmp_path: Path) -> None:
    line = "isolation = 'off': noise is measured with off and auto in turn: leave it out, or say isolation=auto"
    with pytest.raises(UserError, match=f"^command line: {line}$"):
        load_settings(tmp_path, {}, {"isolation": "off"}, run_kind="noise")
    with pytest.raises(UserError, match=r"^environment: isolation = 'cpus=0/1': noise is measured with"):
        load_settings(tmp_path, {"COMPBENCH_ISOLATION": "cpus=0/1"}, {}, run_kind="noise")
    (tmp_path / "compbench.toml").write_text('isolation = "off"\n')
    with pytest.raises(UserError, match=r"compbench\.toml: isolation = 'off': noise"):
        load_settings(tmp_path, {}, {}, run_kind="noise")
    load_settings(tmp_path, {}, {"isolation": "auto"}, run_kind="noise")
    assert load_settings(tmp_path, {}, {}).isolation == "off"
