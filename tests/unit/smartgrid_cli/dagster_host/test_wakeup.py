"""Loops look when something happened, and now and then if nothing did."""

import threading
import time

from smartgrid_cli.dagster_host.wakeup import WakeableEvent, Wakeup


def measure(wait) -> float:
    begun = time.monotonic()
    wait()
    return time.monotonic() - begun


def test_a_loop_looks_at_once_when_something_happens():
    wakeup = Wakeup()
    threading.Timer(0.2, wakeup.notify).start()
    assert measure(lambda: wakeup.wait(0, short_s=10, idle_s=30)) < 2


def test_what_happened_while_a_loop_was_busy_is_not_missed():
    wakeup = Wakeup()
    wakeup.notify()
    assert measure(lambda: wakeup.wait(0, short_s=10, idle_s=30)) < 1


def test_every_loop_hears_of_every_event():
    wakeup = Wakeup()
    wakeup.notify()
    assert [wakeup.wait(0, short_s=10, idle_s=30) for _ in range(2)] == [1, 1]


def test_after_an_event_loops_stay_attentive_for_a_while_and_then_idle():
    wakeup = Wakeup(attention_s=0.6)
    wakeup.notify()
    seen = wakeup.wait(0, short_s=0.1, idle_s=30)
    assert measure(lambda: wakeup.wait(seen, short_s=0.1, idle_s=30)) < 1
    time.sleep(0.6)
    assert measure(lambda: wakeup.wait(seen, short_s=0.1, idle_s=1.0)) >= 1.0


def test_a_loop_that_is_idle_turns_attentive_with_an_event_it_has_seen():
    wakeup = Wakeup(attention_s=30)
    threading.Timer(0.2, wakeup.notify).start()
    seen = wakeup.wait(0, short_s=0.1, idle_s=30)
    assert seen == 1
    assert measure(lambda: wakeup.wait(seen, short_s=0.1, idle_s=30)) < 1


def test_a_daemon_that_has_to_end_ends_whatever_it_waits_for():
    shutdown, wakeup = threading.Event(), Wakeup()
    event = WakeableEvent(shutdown, wakeup, short_s=10, idle_s=0.3)
    assert not event.wait(5)
    shutdown.set()
    assert event.is_set()
    assert event.wait(5)


def test_a_burst_of_events_is_no_burst_of_looks():
    wakeup = Wakeup()
    event = WakeableEvent(threading.Event(), wakeup, short_s=10, idle_s=30, rest_s=0.2)
    looks = 0
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        wakeup.notify()
        event.wait()
        looks += 1
    assert looks <= 6
