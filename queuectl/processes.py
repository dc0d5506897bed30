"""The processes of one attempt: find them, signal them, end them.

They are known by the token in their environment, by their session and by their descent, and never by a bare
PID, because numbers are reused. Whoever is in doubt is left alone. Nothing here knows jobs, workers or files.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

CLAIM_VARIABLE = "QUEUECTL_CLAIM"  #: in the environment of an attempt's command: the token of its claim

_END_LIMIT_S = 10.0  #: how long killed processes may take to be gone
_STOP_LIMIT_S = 2.0  #: how long it may take to stop processes that are to be signalled
_EXEC_LIMIT_S = 0.5  #: how long a process is waited for that has no environment yet
_PASSES = 8  #: over /proc in one look: each reads what has been forked since the one before
_INITIAL_NAMESPACE = "pid:[4026531836]"  #: of the machine itself (PROC_PID_INIT_INO in the kernel): sees all others
_AGE = attrgetter("start", "pid")  #: sorts parents before their children
_HIDDEN = (FileNotFoundError, ProcessLookupError, PermissionError)  #: it has ended, or is another user's
_KERNEL_THREAD = 0x00200000  #: PF_KTHREAD


class Proc(NamedTuple):
    """A process, told apart from all others that ever had its PID by when it started (see ``start_ticks``)."""

    pid: int
    start: int


class Seen(NamedTuple):
    """What one look shows of a process."""

    proc: Proc
    name: str
    parent: int
    session: int
    is_gone: bool  # a zombie: it runs no more
    bears_token: bool
    is_in_exec: bool  # its new environment is not there yet: look again


class Family:
    """The processes of the attempt that *token* stands for, as far as they have been seen.

    Counted in are: whoever bears the token; the leader of *session* if it started at *session_start*; the children
    of one that is in; the session of a leader that is in. A session whose leader has gone counts as long as one of
    it is known to be in: the kernel gives its number to nobody else before it is empty. So a stored number that is
    another's by now is never followed, nor the session of an outsider (``atd``) that started something with the
    token. Once in, a process stays in: what one look has shown helps the next.
    """

    def __init__(self, token: str, session: int | None = None, session_start: int | None = None) -> None:
        self._token = token if token.isascii() else ""  # no other is ever made; an edited file may hold anything
        self._command = None if session is None or session_start is None else Proc(session, session_start)
        self._known: set[Proc] = set()
        self._sessions: set[int] = set()
        self._without_environment: set[Proc] = set()

    def look(self) -> dict[Proc, Seen]:
        """Return those that live now."""
        seen = self._snapshot()
        known = {entry.proc for entry in seen.values() if entry.bears_token or entry.proc in self._known}
        if self._command and self._command.pid in seen and seen[self._command.pid].proc == self._command:
            known.add(self._command)
        while True:
            sessions = self._sessions_of(known, seen)
            more = {
                entry.proc
                for entry in seen.values()
                if entry.proc not in known and (entry.session in sessions or _is_child(entry, known, seen))
            }
            if not more:
                break
            known |= more
        self._known |= known
        self._sessions = sessions
        return {proc: seen[proc.pid] for proc in known if not seen[proc.pid].is_gone}

    def signal(self, *signals: int) -> None:
        """Send *signals* to all of them but this process, and let those go on that are stopped.

        All are stopped first, so that none starts another that would miss the signal. Parents are stopped before
        and go on after their children: none sees a child that is stopped, which a shell would take for ended.
        """
        stopped: set[Proc] = set()
        try:
            self._stop(stopped, time.monotonic() + _STOP_LIMIT_S)
        finally:
            for number in (*signals, signal.SIGCONT):
                for proc in sorted(stopped, key=_AGE, reverse=True):
                    send(proc, number)

    def end(self, limit_s: float = _END_LIMIT_S) -> list[str]:
        """End all of them; return descriptions of those that are still there after *limit_s*.

        All are stopped before one is killed, so that none can start another unseen. If this process is one of them,
        nothing is done and the reason is returned; also if processes cannot be listed.
        """
        until = time.monotonic() + limit_s
        try:
            if any(proc.pid == os.getpid() for proc in self.look()):
                return [f"process {os.getpid()}, which was to end the others, is one of them"]
            self._stop(set(), until)
            return self._kill(until)
        except OSError as error:
            return [f"the processes cannot be listed: {error}"]

    def _stop(self, stopped: set[Proc], until: float) -> None:
        """Stop all of them but this process; note them in *stopped*."""
        while (new := {one for one in self.look() if one.pid != os.getpid()} - stopped) and time.monotonic() < until:
            for proc in sorted(new, key=_AGE):
                send(proc, signal.SIGSTOP)
            stopped |= new

    def _kill(self, until: float) -> list[str]:
        pause_s = 0.0005
        while left := self.look():
            forbidden = {proc for proc in left if not send(proc, signal.SIGKILL)}
            if forbidden == left.keys() or time.monotonic() > until:
                why = {True: "may not be signalled", False: "does not end"}
                return [f"process {one.pid} ({left[one].name}) {why[one in forbidden]}" for one in sorted(left)]
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)
        return []

    def _sessions_of(self, known: set[Proc], seen: dict[int, Seen]) -> set[int]:
        """Return the sessions that are wholly the attempt's."""
        before = self._sessions | ({self._command.pid} if self._command else set())
        led = {seen[proc.pid].session for proc in known if seen[proc.pid].session == proc.pid}
        left = {seen[proc.pid].session for proc in known} & before - seen.keys()  # their leaders have gone
        return (led | left) - {0, os.getsid(0)}

    def _snapshot(self) -> dict[int, Seen]:
        seen: dict[int, Seen] = {}
        read: set[int] = set()
        for _ in range(_PASSES):
            if not (fresh := set(_pids()) - read):
                break
            read |= fresh
            seen |= self._read_all(fresh)
        until = time.monotonic() + _EXEC_LIMIT_S
        while early := {one.proc for one in seen.values() if one.is_in_exec} - self._without_environment:
            if time.monotonic() > until:
                self._without_environment |= early
                break
            time.sleep(0.0005)
            for proc in early:
                del seen[proc.pid]
            seen |= self._read_all({proc.pid for proc in early})
        return seen

    def _read_all(self, pids: set[int]) -> dict[int, Seen]:
        return {pid: entry for pid in sorted(pids) if (entry := _read(pid, self._token))}


def find(token: str, session: int | None = None, session_start: int | None = None) -> set[Proc]:
    """Return the living processes of an attempt (see ``Family``). Raises ``OSError`` if they cannot be listed."""
    return set(Family(token, session, session_start).look())


def end_all(token: str, session: int | None = None, session_start: int | None = None) -> list[str]:
    """End the processes of an attempt; return descriptions of those that cannot be ended (see ``Family.end``)."""
    return Family(token, session, session_start).end()


def is_running(proc: Proc) -> bool:
    """Whether *proc* has not ended yet; a zombie has, whether or not anybody ever asks how."""
    seen = _read(proc.pid, "")
    return seen is not None and seen.proc == proc and not seen.is_gone


def start_of(pid: int, before: int) -> int | None:
    """Return the ``start_ticks`` of a process that this one has started since ``clock_ticks`` gave *before*."""
    now = clock_ticks()
    return now if now == before else start_ticks(pid)


def why_unseen(namespace: str) -> str | None:
    """Return why the processes of a worker in the PID *namespace* may be invisible here; None if they are not."""
    own = pid_namespace()
    if not namespace or namespace == own or own == _INITIAL_NAMESPACE:
        return None
    return "it ran in another container (PID namespace), whose processes cannot be seen from here"


def _is_child(entry: Seen, known: set[Proc], seen: dict[int, Seen]) -> bool:
    parent = seen.get(entry.parent)
    return parent is not None and parent.proc in known and parent.proc.start <= entry.proc.start


if sys.platform == "linux":
    _TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def send(proc: Proc, number: int) -> bool:
        """Send signal *number* to *proc*, and to no other that may have its PID by now; return whether that is allowed.

        It is no error if the process has ended.
        """
        descriptor = None
        with suppress(OSError):  # an old kernel or a sandbox has none: then the check just before has to do
            descriptor = os.pidfd_open(proc.pid)
        try:
            if start_ticks(proc.pid) != proc.start:
                return True
            if descriptor is None:
                os.kill(proc.pid, number)
            else:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        finally:
            if descriptor is not None:
                os.close(descriptor)
        return True

    def start_ticks(pid: int) -> int | None:
        """Return when process *pid* started, as a number to compare; None if there is none.

        On Linux clock ticks since the start of the machine, elsewhere microseconds since 1970.
        """
        try:
            return int(_contents(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])
        except OSError:
            return None

    def clock_ticks() -> int:
        """Return the ``start_ticks`` that a process which started right now would have."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _TICK_NS

    @cache
    def boot_id() -> str:
        """Return a text that is another after each start of the machine; "" where it is kept secret."""
        with suppress(OSError):
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return ""

    def pid_namespace() -> str:
        """Return the name of the PID namespace (container) of this process; "" where there is no such thing."""
        with suppress(OSError):
            return str(Path("/proc/self/ns/pid").readlink())
        return ""

    def _pids() -> Iterator[int]:
        # In a namespace whose /proc is another's, its numbers name other processes.
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            msg = "/proc belongs to another PID namespace"
            raise OSError(msg)
        return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - names only, and fast

    def _read(pid: int, token: str) -> Seen | None:
        try:
            head, _, tail = _contents(f"/proc/{pid}/stat").rpartition(b")")
        except _HIDDEN:
            return None
        fields = tail.split()  # proc_pid_stat(5); its field n is fields[n - 3]
        environment = b"?"
        with suppress(*_HIDDEN):
            environment = _contents(f"/proc/{pid}/environ")
        is_zombie = fields[0] in (b"Z", b"X")
        return Seen(
            proc=Proc(pid, int(fields[19])),
            name=head.partition(b"(")[2].decode("utf-8", "replace"),
            parent=int(fields[1]),
            session=int(fields[3]),
            is_gone=is_zombie and int(fields[17]) <= 1,  # other threads may have outlived the first one
            bears_token=bool(token) and f"\0{CLAIM_VARIABLE}={token}\0".encode() in b"\0%b\0" % environment,
            # env_end is 0 until exec has laid the environment out.
            is_in_exec=not (environment or int(fields[48]) or is_zombie or int(fields[6]) & _KERNEL_THREAD),
        )

    def _contents(path: str) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            contents = b""
            while part := os.read(descriptor, 1 << 16):
                contents += part
            return contents
        finally:
            os.close(descriptor)

else:  # as above; the kernel of macOS shows all this only through psutil

    def send(proc: Proc, number: int) -> bool:
        import psutil

        try:
            if start_ticks(proc.pid) == proc.start:
                psutil.Process(proc.pid).send_signal(number)
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False
        return True

    def clock_ticks() -> int:
        return time.time_ns() // 1000

    def start_ticks(pid: int) -> int | None:
        import psutil

        try:
            return int(psutil.Process(pid).create_time() * 1_000_000)
        except psutil.Error:
            return None

    @cache
    def boot_id() -> str:
        import ctypes

        value, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", value, ctypes.byref(size), None, 0)
        return value.value.decode("ascii")

    def pid_namespace() -> str:
        return ""

    def _pids() -> Iterator[int]:
        import psutil

        return iter(psutil.pids())

    def _read(pid: int, token: str) -> Seen | None:
        import psutil

        environment: dict[str, str] = {}
        try:
            process = psutil.Process(pid)
            with suppress(psutil.AccessDenied, psutil.ZombieProcess):
                environment = process.environ()
            return Seen(
                proc=Proc(pid, int(process.create_time() * 1_000_000)),
                name=process.name(),
                parent=process.ppid(),
                session=os.getsid(pid),
                is_gone=process.status() == psutil.STATUS_ZOMBIE,
                bears_token=bool(token) and environment.get(CLAIM_VARIABLE) == token,
                is_in_exec=False,
            )
        except (psutil.Error, OSError):
            return None
