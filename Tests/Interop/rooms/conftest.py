"""Fixtures of the rooms: one server for all tests, a room of its own for each, and tests that are coroutines."""

import asyncio
import inspect
import os
import sys
import threading

import pytest

from support.rooms import House
from support.server import ParleyServer
from support.webhooks import Webhooks


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs a test that is a coroutine; the guests leave before its loop ends.

    In a thread: Playwright's loop, once started, occupies the main one.
    """
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def run():
        try:
            await pyfuncitem.obj(**arguments)
        finally:
            for value in arguments.values():
                if isinstance(value, House):
                    await value.close()

    failure = []

    def body():
        try:
            asyncio.run(run())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return True


class Loop:
    """A loop of its own for tests that are not coroutines: `loop(house.join("ann"))` waits for the result."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def __call__(self, work, timeout=60):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)


@pytest.fixture
def loop(house):
    """Runs what the house's guests do, for tests whose other half blocks."""
    made = Loop()
    yield made
    made(house.close())
    made.loop.call_soon_threadsafe(made.loop.stop)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    session.config.stash[EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Ends at once: the SDK's threads call into an interpreter that is being taken down, and abort with it."""
    status = config.stash.get(EXIT_STATUS, None)
    if status is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


EXIT_STATUS = pytest.StashKey()


@pytest.fixture(scope="session")
def webhooks():
    sink = Webhooks()
    yield sink
    sink.close()


@pytest.fixture(scope="session")
def rooms(directory, webhooks):
    """The server that the tests of rooms share."""
    parley = ParleyServer(directory / "rooms", users=(), **webhooks.sections)
    parley.start()
    yield parley
    status = parley.stop()
    assert status == 0, f"parley ended with {status}:\n{parley.log()[-3000:]}"


@pytest.fixture
def house(rooms, request):
    """A room with a name of its own."""
    request.node.log_start = len(rooms.log())
    yield House(rooms)
    assert rooms.alive, f"the server died:\n{rooms.log()[-4000:]}"
