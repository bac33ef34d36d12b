# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher around the real agent's task loop: what is taken, and what systemd is told, in which order."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import pathlib
import socket
import sys
import types

import pytest
from clearml_agent.commands import worker as agent

LAUNCHER = pathlib.Path(__file__).resolve().parents[3] / "roles/clearml_agent/files/clearml-agent-launcher"


@pytest.fixture(scope="module")
def launcher():
    loader = importlib.machinery.SourceFileLoader("clearml_agent_launcher", str(LAUNCHER))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    writes = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # no __pycache__ among the files of the role
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


class Socket:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def received(self):
        messages = []
        while True:
            try:
                messages += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return messages

    def close(self):
        self._socket.close()


@pytest.fixture
def systemd(tmp_path):
    end = Socket(tmp_path / "notify")
    yield end
    end.close()


class EndOfTest(BaseException):
    """Leaves the agent's endless loop."""


class Server:
    """A queue, and the rounds of the agent's loop at which something happens to the drain file."""

    def __init__(self, drain_file, tasks, events=None, rounds=6):
        self.drain_file = drain_file
        self.tasks = list(tasks)
        self.events = events or {}
        self.rounds = rounds
        self.round = 0
        self.ran = []
        self.asked_for_properties = 0

    def worker(self):
        """The agent's real Worker with its real loop; the calls to its server and its sleep are replaced."""
        server = self

        class Worker(agent.Worker):
            def __init__(self):
                self.log = types.SimpleNamespace(debug=lambda *_: None)
                self._session = types.SimpleNamespace(
                    config={"agent.reload_config": False}, send_api=lambda *_: None, debug_mode=False, get_nvidia_visible_env=lambda: None
                )
                self._daemon_foreground = True
                self._services_mode = self._impersonate_as_task_owner = self._redirected_stdout_file_no = None
                self._uptime_config = self._downtime_config = None
                self._polling_interval = 5
                self.docker_image_func = None
                self.worker_id = "gpu-01:cpu"
                self.queues = ("q1", "q2")
                self.monitor = types.SimpleNamespace(
                    setup_daemon_cluster_report=lambda **_: None, set_report=lambda *_: None, send_report=lambda: None
                )

            def get_worker_properties(self, queue_ids):
                server.asked_for_properties += 1
                return {queue: {"name": queue, "tags": []} for queue in queue_ids}, []

            def _unregister(self, queues=()):
                pass

            def send_logs(self, *_args, **_kwargs):
                pass

            def _get_node_rank(self):
                return 0

            def run_one_task(self, queue, task_id, *_args, **_kwargs):
                server.ran.append(task_id)
                server.happen(task_id)

        return Worker

    def happen(self, when):
        event = self.events.get(when)
        if event:
            event(self.drain_file)

    def next_task(self, _session, queue, **_kwargs):
        if queue == "q1" and self.tasks:
            return {"entry": {"task": self.tasks.pop(0)}}
        return {}

    def sleep(self, _seconds):
        self.round += 1
        self.happen(self.round)
        if self.round >= self.rounds:
            raise EndOfTest


def run(launcher, systemd, monkeypatch, server):
    worker = server.worker()
    monkeypatch.setattr(agent, "get_next_task", server.next_task)
    monkeypatch.setattr(agent, "sleep", server.sleep)
    monkeypatch.setattr(agent, "kill_all_child_processes", lambda **_: None)
    launcher.install(worker, launcher.Drain(str(server.drain_file)), launcher.Notifier(systemd.path))
    with pytest.raises(EndOfTest):
        worker().run_tasks_loop(["q1", "q2"], types.SimpleNamespace(debug=False))
    return systemd.received()


def touch(path):
    path.write_text("")


def test_without_a_drain_file_all_tasks_are_taken(launcher, systemd, monkeypatch, tmp_path):
    server = Server(tmp_path / "drain", ["a", "b"])
    said = run(launcher, systemd, monkeypatch, server)
    assert server.ran == ["a", "b"]
    assert said == ["READY=1", "STATUS=listening", "STATUS=running a", "STATUS=listening", "STATUS=running b", "STATUS=listening"]


def test_a_drain_at_the_start_takes_nothing_and_asks_the_server_nothing(launcher, systemd, monkeypatch, tmp_path):
    server = Server(tmp_path / "drain", ["a"])
    touch(server.drain_file)
    assert run(launcher, systemd, monkeypatch, server) == ["READY=1", "STATUS=drained"]
    assert server.ran == []
    assert server.asked_for_properties == 0


def test_a_drain_during_a_task_finishes_it_and_leaves_the_backlog(launcher, systemd, monkeypatch, tmp_path):
    server = Server(tmp_path / "drain", ["a", "b", "c"], {"a": touch})
    said = run(launcher, systemd, monkeypatch, server)
    assert server.ran == ["a"]
    assert server.tasks == ["b", "c"]
    assert said[-2:] == ["STATUS=running a", "STATUS=drained"]


def test_after_the_drain_the_backlog_is_taken(launcher, systemd, monkeypatch, tmp_path):
    server = Server(tmp_path / "drain", ["a", "b"], {"a": touch, 3: pathlib.Path.unlink})
    said = run(launcher, systemd, monkeypatch, server)
    assert server.ran == ["a", "b"]
    assert said[3:] == ["STATUS=drained", "STATUS=listening", "STATUS=running b", "STATUS=listening"]


def test_a_drain_between_the_two_looks_of_one_round_takes_nothing(launcher, systemd, monkeypatch, tmp_path):
    """The file appears while the agent reads the queues' tags; the look before the task is taken sees it."""
    server = Server(tmp_path / "drain", ["a"])
    worker = server.worker()
    real = worker.get_worker_properties

    def slow(self, queue_ids):
        touch(server.drain_file)
        return real(self, queue_ids)

    worker.get_worker_properties = slow
    monkeypatch.setattr(server, "worker", lambda: worker)
    assert run(launcher, systemd, monkeypatch, server)[-1] == "STATUS=drained"
    assert server.ran == []


def test_an_agent_without_a_hook_is_refused(launcher):
    with pytest.raises(RuntimeError, match=r"Worker\.run_one_task.*3\.0\.3"):
        launcher.install(type("Worker", (), {name: lambda self: None for name in launcher.HOOKS[:-1]}), None, None)


def test_the_pinned_agent_has_the_hooks(launcher):
    assert all(callable(getattr(agent.Worker, name)) for name in launcher.HOOKS)


@pytest.mark.parametrize(
    ("content", "active"),
    [
        ("", True),
        ("maintenance until Monday\n", True),
        ("until 1000\n", False),
        ("until 1001 by homelab.mlops\n", True),
        ("until soon\n", True),
        ("until 999\nuntil 2000\n", False),
    ],
)
def test_a_drain_file_may_end_by_itself(launcher, tmp_path, content, active):
    path = tmp_path / "drain"
    path.write_text(content)
    assert launcher.Drain(str(path), clock=lambda: 1000.0).active() is active


def test_a_drain_file_that_cannot_be_read_counts(launcher, tmp_path):
    (tmp_path / "drain").mkdir()
    assert launcher.Drain(str(tmp_path / "drain")).active()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert launcher.Drain(str(tmp_path / "binary")).active()


def test_a_status_that_did_not_arrive_is_said_again(launcher, tmp_path, capsys):
    notifier = launcher.Notifier(str(tmp_path / "notify"))
    notifier.status("listening")
    assert "could not tell systemd" in capsys.readouterr().err
    end = Socket(tmp_path / "notify")
    notifier.status("listening")
    assert end.received() == ["READY=1", "STATUS=listening"]
    end.close()


def test_abstract_sockets_and_none(launcher):
    name = "homelab-mlops-test-launcher"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        end.settimeout(5)
        launcher.Notifier("@" + name).status("drained")
        assert end.recv(100) == b"READY=1\nSTATUS=drained"
    launcher.Notifier(None).status("drained")


def test_only_stale_pid_files_of_this_worker_are_removed(launcher, tmp_path):
    own, other = tmp_path / ".clearmlagent_1_x.tmp", tmp_path / ".clearmlagent_2_y.tmp"
    own.write_text("gpu-01:cpu\n0")
    other.write_text("gpu-01:gpu0\n1")
    (tmp_path / "unrelated.tmp").write_text("gpu-01:cpu\n")
    launcher.remove_stale_pid_files(str(tmp_path), "gpu-01:cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "unrelated.tmp"]


def test_command_lines_are_what_the_agent_parses(launcher):
    from clearml_agent.interface import get_parser

    gpus = get_parser().parse_args(launcher.agent_arguments("/etc/c.conf", ["big one", "default"], "0,1")[1:])
    assert [str(queue.name) for queue in gpus.queues] == ["big one", "default"]
    assert (gpus.command, gpus.gpus, gpus.cpu_only) == ("daemon", "0,1", False)
    cpu = get_parser().parse_args(launcher.agent_arguments("/etc/c.conf", ["default"], "")[1:])
    assert (cpu.gpus, cpu.cpu_only, cpu.foreground, cpu.config_file) == (None, True, True, "/etc/c.conf")
