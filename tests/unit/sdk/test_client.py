"""The client that waits: from several threads, step by step, closed at any moment, and never in the way of an interpreter's end."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.world import EMAIL, PASSWORD, Server

from syncline import AsyncClient, Client, errors
from syncline.sdk import Progress, Tokens

pytestmark = pytest.mark.real
ENDS_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    running.start()
    running.add_user()
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client.sign_in(server.url, EMAIL, PASSWORD) as made:
        yield made


def test_it_has_every_call_of_the_other_one() -> None:
    for name, method in inspect.getmembers(AsyncClient, callable):
        if name.startswith("_"):
            continue
        twin = getattr(Client, name)
        assert not inspect.iscoroutinefunction(twin), name
        if name not in ("close", "sign_in", "from_home"):
            assert (inspect.signature(twin), twin.__doc__) == (inspect.signature(method), method.__doc__), name


def test_calls_iterators_and_callbacks(client: Client, tmp_path: Path) -> None:
    told: list[Progress] = []
    (tmp_path / "a.txt").write_text("hello")
    client.upload(tmp_path / "a.txt", "/calls/", progress=told.append)
    assert told[-1].done_bytes == 5
    assert client.read("/calls/a.txt") == b"hello"
    assert [item.path for item in client.list("/calls")] == [item.path for item in client.walk("/calls")] == ["/calls/a.txt"]
    assert b"".join(client.stream("/calls/a.txt")) == b"hello"
    client.delete("/calls/a.txt")
    assert next(client.trash()).path == "/calls/a.txt"
    start = client.cursor()
    client.mkdir("/calls/b")
    pages = client.follow(start)
    assert [entry.name for entry in next(pages).entries] == ["b"]
    pages.close()
    with pytest.raises(errors.NotFound):
        next(client.stream("/nothing"))


def test_two_threads_work_at_once(client: Client) -> None:
    both = threading.Barrier(2)

    def work(name: str) -> list[bytes]:
        client.mkdir(f"/{name}")
        both.wait(ENDS_S)
        for number in range(10):
            client.upload_bytes(f"{name} {number}".encode(), f"/{name}/{number}")
        return [client.read(f"/{name}/{number}") for number in range(10)]

    with ThreadPoolExecutor(2) as pool:
        left, right = pool.submit(work, "left"), pool.submit(work, "right")
        assert left.result(ENDS_S) == [f"left {number}".encode() for number in range(10)]
        assert right.result(ENDS_S) == [f"right {number}".encode() for number in range(10)]


def test_a_call_from_its_own_callback_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with pytest.raises(errors.InvalidRequest):
        client.upload(tmp_path / "a", "/a", progress=lambda _: client.me() and None)
    assert client.me().email == EMAIL


def test_closing_ends_whoever_waits_and_may_be_done_again(server: Server) -> None:
    client = Client.sign_in(server.url, EMAIL, PASSWORD)
    pages = client.follow(client.cursor())
    raised: list[BaseException] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        try:
            next(pages)
        except errors.Closed as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert waits.wait(ENDS_S)
    closing = [threading.Thread(target=client.close) for _ in range(3)]
    for thread in closing:
        thread.start()
    for thread in (*closing, waiting):
        thread.join(ENDS_S)
        assert not thread.is_alive()
    assert len(raised) == 1
    client.close()
    for call in (client.me, client.list, client.trash, client.follow, client.__enter__().cursor):
        with pytest.raises(errors.Closed):
            call()


def test_the_session_goes_on_elsewhere(server: Server) -> None:
    kept: list[Tokens] = []
    with Client.sign_in(server.url, EMAIL, PASSWORD, device_name="robot", on_tokens=kept.append) as client:
        device = client.me().device_id
    with Client(server.url, refresh_token=kept[-1].refresh_token, on_tokens=kept.append) as client:
        assert client.me().device_id == device
        assert client.refresh_token == kept[-1].refresh_token
    with pytest.raises(errors.WrongPassword):
        Client.sign_in(server.url, EMAIL, "wrong")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable):
        Client.sign_in("http://127.0.0.1:9", EMAIL, PASSWORD)
    with pytest.raises(errors.NotLoggedIn):
        Client.from_home(tmp_path)


def test_one_that_is_dropped_ends_its_thread(server: Server) -> None:
    client = Client.sign_in(server.url, EMAIL, PASSWORD)
    client.upload_bytes(bytes(100_000), "/dropped")
    blocks = client.stream("/dropped")
    next(blocks)
    thread = client._thread._thread
    del client, blocks
    gc.collect()
    thread.join(ENDS_S)
    assert not thread.is_alive()


SCRIPTS = {
    "unclosed": "client.me()",
    "in the middle of an iterator": "blocks = client.stream('/exit'); next(blocks)",
    "while another thread waits": """
import threading, time
def wait():
    for page in client.follow(start): pass
start = client.cursor()
threading.Thread(target=wait, daemon=True).start()
client.me()
""",
    "while a thread of its own works on": """
import threading
def work():
    client.me()
    begun.set()
    for number in range(20):
        assert len(client.read("/exit")) == 3_000_000
    print("worked on")
begun = threading.Event()
threading.Thread(target=work).start()
begun.wait()
""",
    "after an interruption": """
import os, signal, threading
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    next(client.follow(client.cursor()))
except KeyboardInterrupt:
    print("interrupted")
client.me()
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_interpreter_ends_without_waiting(server: Server, client: Client, name: str) -> None:
    client.upload_bytes(bytes(3_000_000), "/exit")
    script = f"from syncline import Client\nclient = Client.sign_in({server.url!r}, {EMAIL!r}, {PASSWORD!r})\n{SCRIPTS[name]}\n"
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=ENDS_S, stdin=subprocess.DEVNULL
    )
    # A busy machine makes steps slow, and development mode says so.
    said = [line for line in ran.stderr.splitlines() if not line.startswith("Executing <")]
    assert (ran.returncode, said) == (0, [])
    assert ran.stdout == {"after an interruption": "interrupted\n", "while a thread of its own works on": "worked on\n"}.get(
        name, ""
    )


def test_a_transfer_that_hangs_does_not_hold_the_interpreter() -> None:
    """A server that takes the connection and never answers: the end comes long before any time limit of the transfer."""
    script = """
import socket, threading
from syncline import Client
deaf = socket.create_server(("127.0.0.1", 0))
client = Client(f"http://127.0.0.1:{deaf.getsockname()[1]}", refresh_token="r", on_tokens=print)
threading.Thread(target=client.me, daemon=True).start()
taken, _ = deaf.accept()
taken.recv(1)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=ENDS_S, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0


def test_programs_see_full_types(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from syncline import Client, errors\n"
        "def work(client: Client) -> int:\n"
        "    for page in client.follow():\n"
        "        reveal_type(page.cursor)\n"
        "    reveal_type(client.list('/'))\n"
        "    reveal_type(client.stream('/a'))\n"
        "    reveal_type(errors.NotFound())\n"
        "    return client.read('/a')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(program)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, cwd=tmp_path)
    said = ran.stdout
    assert 'Revealed type is "str"' in said
    assert 'Revealed type is "list[syncline.sdk.values.Item]"' in said
    assert 'Revealed type is "typing.Generator[bytes, None, None]"' in said
    assert 'Revealed type is "syncline.model.errors.NotFound"' in said
    assert 'Incompatible return value type (got "bytes", expected "int")' in said
    assert said.rstrip().endswith("Found 1 error in 1 file (checked 1 source file)"), said + ran.stderr
