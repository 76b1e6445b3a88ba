"""Fixtures: one server with its trunks for the whole run, agents and peers for each test."""

import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import audio  # noqa: E402
from support.baresip import NUMBER, Baresip  # noqa: E402
from support.browser import Agent, Browsers  # noqa: E402
from support.ports import free_port  # noqa: E402
from support.rtp import Party  # noqa: E402
from support.server import ParleyServer  # noqa: E402
from support.sip import Endpoint  # noqa: E402

# Each peer has an address of its own: Parley tells trunks apart by it.
BARESIP, RAW, CALLER, STRANGER, PHONE = (f"127.0.0.{n}" for n in (11, 12, 13, 66, 21))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the server's last lines under a failed test."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
    if not report.failed:
        return
    for value in item.funcargs.values():
        if isinstance(value, ParleyServer):
            since = getattr(item, "log_start", 0)
            lines = value.log()[since:].splitlines()[-40:]
            report.sections.append((f"parley ({value.directory})", "\n".join(lines)))
        if isinstance(value, Endpoint):
            report.sections.append((f"SIP peer {value.address}", value.trace()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.log_start = 0


@pytest.fixture(scope="session")
def directory(request):
    """Where the run keeps its files; removed when nothing failed."""
    path = Path(tempfile.mkdtemp(prefix="parley-interop."))
    yield path
    if request.session.testsfailed:
        print(f"\nServer logs and files of this run: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def browsers(directory):
    found = Browsers(directory)
    yield found
    found.close()


@pytest.fixture(scope="session")
def baresip():
    """The carrier that is a real one: answers at once, sounds at 1,115 Hz."""
    with Baresip(BARESIP, audio.CARRIER) as carrier:
        yield carrier


@pytest.fixture(scope="session")
def raw_port():
    return free_port(RAW)


@pytest.fixture(scope="session")
def server(directory, baresip, raw_port):
    """The server most tests share. 91… goes to baresip, 92… to the test's own peer, 93… to nobody's address."""
    parley = ParleyServer(
        directory / "shared",
        users=("1001", "1002", "1003", "1004"),
        trunks=[
            {"name": "carrier", "host": f"{BARESIP}:{baresip.port}", "codecs": ["PCMU", "PCMA"], "allow": [f"{CALLER}/32"]},
            {"name": "raw", "host": f"{RAW}:{raw_port}", "codecs": ["PCMU", "PCMA"]},
            {"name": "dead", "host": f"127.0.0.99:{free_port('127.0.0.99')}", "codecs": ["PCMU"]},
        ],
        numbers=[
            {"number": "+15550100", "to": "user:1001"},
            {"number": "+15550102", "to": "user:1002"},
            {"number": "+15550104", "to": "user:1004"},
            {"number": "+15550600", "to": "echo:"},
            {"number": "+15550601", "to": "milliwatt:"},
        ],
        routes=[
            {"match": r"^91(\d+)$", "to": "trunk:carrier", "number": NUMBER},
            {"match": r"^92(\d+)$", "to": "trunk:raw", "number": "$1"},
            {"match": r"^93(\d+)$", "to": "trunk:dead", "number": "$1"},
        ],
        sip={"no-answer": "8s"},
    )
    with running(parley):
        yield parley


@contextlib.contextmanager
def running(parley):
    parley.start()
    try:
        yield parley
    finally:
        status = parley.stop()
    assert status == 0, f"parley ended with {status}:\n{parley.log()[-3000:]}"


@pytest.fixture
def known(server, request):
    """Ids of the calls before the test; and the server must outlive it."""
    request.node.log_start = len(server.log())
    yield server.known()
    assert server.alive, f"the server died:\n{server.log()[-4000:]}"


@pytest.fixture
def agent(browsers, server):
    """Makes agents: agent("1001", ALICE). All are closed after the test."""
    made = []

    def make(user, tone, parley=None, **options):
        made.append(Agent(browsers, parley or server, user, tone, **options))
        return made[-1]

    yield make
    for one in made:
        with contextlib.suppress(Exception):
            one.close()


@pytest.fixture
def trunk(server, raw_port):
    """The test's own carrier: what SIP and RTP it speaks is the test's to say."""
    endpoint = Endpoint(RAW, raw_port, server.sip)
    yield endpoint
    endpoint.close()


@pytest.fixture
def party():
    """Makes RTP parties: party(CARRIER). All are closed after the test."""
    made = []

    def make(tone=audio.CARRIER, address=RAW, **options):
        made.append(Party(address, tone, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def new_server(tmp_path):
    """Makes servers of the test's own."""
    made = []

    def make(**options):
        parley = ParleyServer(tmp_path / f"parley{len(made)}", **options)
        made.append(parley)
        return parley.start()

    yield make
    for parley in made:
        if parley.alive:
            parley.kill()


def eventually(check, timeout=5.0, what="condition"):
    """Waits until `check()` is true and gives what it gave."""
    deadline = time.monotonic() + timeout
    while not (found := check()):
        assert time.monotonic() < deadline, f"not {what} within {timeout} s"
        time.sleep(0.05)
    return found
