"""The alarm of the driver's event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from compbench.loadtest.engine.clock import open_alarm, run_in_precise_loop


@pytest.mark.process
def test_an_alarm_rings_once_not_early_at_the_last_time_set_and_at_once_for_the_past() -> None:
    async def main() -> list[float]:
        rung: list[float] = []
        alarm = open_alarm(lambda: rung.append(time.monotonic()))
        start = time.monotonic()
        alarm.set(start + 0.01)
        alarm.set(start + 0.05)
        await asyncio.sleep(0.3)
        assert len(rung) == 1
        assert rung[0] >= start + 0.05
        alarm.set(start)
        await asyncio.sleep(0.3)
        alarm.set(time.monotonic() + 0.05)
        alarm.close()
        await asyncio.sleep(0.2)
        return rung

    assert len(run_in_precise_loop(main())) == 2
