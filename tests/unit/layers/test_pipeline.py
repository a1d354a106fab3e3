import os
import sys
import threading
import time

import pytest

from workers.layers.pipeline import Channel, Flow, Stopped


def test_items_arrive_in_order_and_no_more_than_fit_wait() -> None:
    flow = Flow()
    channel: Channel[int] = Channel(flow, 2)
    waiting: list[int] = []
    taken: list[int] = []

    def produce() -> None:
        for number in range(100):
            channel.put(number)
            waiting.append(channel._items.qsize())
        channel.close()

    flow.start("produce", produce)
    flow.start("consume", lambda: taken.extend(channel))
    flow.join()
    assert taken == list(range(100))
    assert max(waiting) <= 2
    assert set(flow.cpu) == {"produce", "consume"}


def test_the_first_error_wakes_producers_and_consumers() -> None:
    flow = Flow()
    full: Channel[int] = Channel(flow, 1)
    empty: Channel[int] = Channel(flow, 1)
    full.put(0)
    seen: list[str] = []

    def put() -> None:
        try:
            full.put(1)
        except Stopped:
            seen.append("put")
            raise

    def get() -> None:
        try:
            list(empty)
        except Stopped:
            seen.append("get")
            raise

    flow.start("put", put)
    flow.start("get", get)
    time.sleep(0.05)
    flow.fail(KeyError("first"))
    flow.fail(ValueError("second"))
    with pytest.raises(KeyError):
        flow.join()
    assert sorted(seen) == ["get", "put"]
    with pytest.raises(Stopped):
        full.put(2)


def test_an_error_in_a_stage_surfaces_in_the_caller() -> None:
    flow = Flow()
    channel: Channel[int] = Channel(flow, 1)

    def stage() -> None:
        next(iter(channel))
        raise ZeroDivisionError

    flow.start("stage", stage)

    def feed() -> None:
        for number in range(1000):
            channel.put(number)

    with pytest.raises(Stopped):
        feed()
    with pytest.raises(ZeroDivisionError):
        flow.join()
    assert not [t for t in threading.enumerate() if t.name == "verilayer-stage"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_a_yielding_stage_is_nicer_than_who_starts_it() -> None:
    flow = Flow()
    seen: list[int] = []

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def outer() -> None:
        seen.append(niceness())
        # A new thread begins as nice as its parent; it may not end up less so.
        inner = Flow()
        inner.start("inner", lambda: seen.append(niceness()), yielding=True)
        inner.join()

    own = niceness()
    flow.start("plain", lambda: seen.append(niceness()))
    flow.join()
    flow.start("outer", outer, yielding=True)
    flow.join()
    assert seen == [own, min(own + 10, 19), min(own + 20, 19)]
    assert niceness() == own
