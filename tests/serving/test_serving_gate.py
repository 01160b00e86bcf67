"""One computation at a time, few that wait, and names and addresses of a server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import pytest
from live_page import draw, make_network, serving, to_png

from unetscope.errors import UnetscopeError
from unetscope.serving.gate import Gate
from unetscope.serving.guard import Names, is_loopback
from unetscope.serving.refusals import AbandonedError, RefusalError
from unetscope.serving.server import address_of, listen
from unetscope.serving.session import Session


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine in a thread: Playwright leaves a running loop in that of other tests."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


async def never() -> None:
    await asyncio.Event().wait()


def test_one_computation_runs_at_a_time_in_the_order_of_coming():
    running, most, order = 0, 0, []

    def work(number):
        def count(_tell):
            nonlocal running, most
            running += 1
            most = max(most, running)
            order.append(number)
            time.sleep(0.01)
            running -= 1
            return number

        return count

    async def ask_all():
        gate = Gate()
        return await asyncio.gather(*(gate.compute(work(number), never) for number in range(5)))

    assert run(ask_all()) == order == list(range(5))
    assert most == 1


def test_the_queue_has_an_end_and_empties():
    async def fill():
        gate = Gate(most=2)
        async with gate.enter():
            async with gate.enter():
                with pytest.raises(RefusalError, match="2 requests are being computed or wait already") as refused:
                    async with gate.enter():
                        pass
                assert refused.value.status == 503
            async with gate.enter():
                pass
            with pytest.raises(ZeroDivisionError):
                async with gate.enter():
                    raise ZeroDivisionError
        assert await gate.compute(lambda _: 7, never) == 7

    run(fill())


def test_work_that_nobody_waits_for_ends_at_its_next_step():
    ended = Event()

    def work(tell):
        try:
            while True:
                tell(1, 2)
                time.sleep(0.005)
        finally:
            ended.set()

    async def leave():
        gate = Gate()
        left = asyncio.Event()
        asking = asyncio.create_task(gate.compute(work, left.wait))
        while gate.done is None:
            await asyncio.sleep(0.001)
        assert gate.done in ((0, 0), (1, 2))
        left.set()
        with pytest.raises(AbandonedError):
            await asking
        assert gate.done is None

    run(leave())
    assert ended.is_set()


def test_work_that_nobody_waits_for_any_more_is_not_begun():
    go = Event()

    async def leave():
        gate, left = Gate(), asyncio.Event()
        first = asyncio.create_task(gate.compute(lambda _: go.wait(10), never))
        second = asyncio.create_task(gate.compute(lambda _: pytest.fail("begun"), left.wait))
        await asyncio.sleep(0.01)
        left.set()
        await asyncio.sleep(0.01)
        go.set()
        assert await first
        with pytest.raises(AbandonedError):
            await second

    run(leave())


def test_a_page_that_goes_away_frees_the_processor(monkeypatch):
    session, begun, ended = Session([make_network()]), Event(), Event()

    def segment(key, network, plane, tell):
        begun.set()
        try:
            while True:
                tell(0, 1)
                time.sleep(0.005)
        finally:
            ended.set()

    session.segment = segment
    with serving(session) as page:
        with socket.create_connection(("127.0.0.1", page.port)) as connection:
            body = b'{"key": "", "plane": 0, "network": 0}'
            head = f"POST /api/segmentations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            assert begun.wait(10)
            progress = page.get("/api/progress").json
            assert progress["total"] in (0, 1)
        assert ended.wait(10)
        assert page.drop("a.png", to_png(draw(8, 8))).status == 200


def test_too_many_requests_are_told_to_come_again():
    session, answers, go = Session([make_network()]), [], Event()
    session.segment = lambda *_: go.wait(20) and pytest.fail("told to go on")
    with serving(session) as page:
        ask = lambda: answers.append(page.post("/api/segmentations", key="", plane=0, network=0).status)  # noqa: E731
        threads = [Thread(target=ask) for _ in range(9)]
        for thread in threads:
            thread.start()
        while len(answers) < 3:
            time.sleep(0.01)
        go.set()
        for thread in threads:
            thread.join()
    assert answers[:3] == [503] * 3
    assert sorted(answers) == [500] * 6 + [503] * 3


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.1.2.3", True), ("0.0.0.0", False), ("::", False),
     ("192.0.2.1", False), ("example.org", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_who_reaches_a_host(host, local):
    assert is_loopback(host) is local
    names = Names(host)
    assert ("192.0.2.7" in names) is not local
    assert host in names
    assert "evil.example" not in names
    assert "" not in names
    if not local:
        assert socket.gethostname().upper() in names


def test_a_port_that_is_taken_is_told():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        with pytest.raises(UnetscopeError, match=f"port {port} of 127.0.0.1 cannot be had .another program has it"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 2**16), ("127.0.0.1", -1), ("192.0.2.1", 0)])
def test_what_is_no_address_of_ours_is_told(host, port):
    with pytest.raises(UnetscopeError, match=r"cannot be had|ports are numbers from 0 to 65535"):
        listen(host, port)
