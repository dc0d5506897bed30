"""Run one shell command: start it, learn of its end, end it. What that means for a job is decided elsewhere.

Commands are started by ``posix_spawn``. The child closes nothing before it has become the command, so it keeps the
worker's liveness lock until its environment bears the claim.
"""

import errno
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from queuectl import processes
from queuectl.ending import Ended, last_line, visible
from queuectl.outputs import Output, Outputs, move

_SHELL = b"/bin/sh"
#: What the worker, or whoever started it, may have ignored. Commands start with none of it.
_DEFAULT_SIGNALS = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1),
    *(signal.SIGUSR2, signal.SIGCHLD, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGXFSZ),
)
_FOLDER_PROBLEMS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "is not a directory",
    errno.EACCES: "may not be entered",
    errno.ELOOP: "is a link to itself",
    errno.ENAMETOOLONG: "has too long a name",
}  #: what a job can be blamed for; other errors are the machine's


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Why a command could not be started, by the fault of its job."""

    error: str


class _Unstartable(Exception):
    """Raised when it is the job's fault that its command cannot be started."""


class Attempt:
    """A command that runs; the leader of a session of its own, whose number is *pid*."""

    def __init__(
        self,
        pid: int,
        *,
        begun: float,
        session_start: int | None,
        token: str,
        outputs: Outputs,
        streams: tuple[Output, Output],
    ) -> None:
        self.pid = pid
        self.token = token
        self.session_start = session_start
        self._begun = begun
        self._outputs = outputs
        self._out, self._err = streams
        self._written: list[bool] = []  # whether stdout and stderr are more than empty; once it has ended
        self._family: processes.Family | None = None
        self._ended: Ended | None = None
        self._notice = _notice_of_end(pid)

    def fileno(self) -> int:
        """Return a descriptor that is readable once the command has ended; -1 when ``poll`` has said so."""
        return self._notice

    def poll(self) -> Ended | None:
        """Return how the command ended, None while it runs. What it leaves running in the background is left alone."""
        if self._ended is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, None
            if pid:
                self._ended = self._facts(status)
                os.close(self._notice)
                self._notice = -1
        return self._ended

    def terminate(self) -> None:
        """Ask all processes of the attempt to end; those that have left its session, too."""
        self._processes().signal(signal.SIGTERM)

    def remains(self) -> bool:
        """Tell whether any process of the attempt still runs, be it the command or one in the background."""
        return bool(self._processes().look())

    def kill(self) -> list[str]:
        """End all processes of the attempt; return descriptions of those that cannot be ended."""
        return self._processes().end()

    @property
    def has_output(self) -> bool:
        """Whether the ended command has written anything, or has left somebody who may."""
        return any(self._written)

    def move_outputs(self, out_path: str, err_path: str) -> None:
        """Give what an ended command has written its lasting place; may be done again. Raises ``OSError``."""
        for stream, is_written, path in zip((self._out, self._err), self._written, (out_path, err_path), strict=True):
            if is_written:
                move(stream.path, path)

    def remove_outputs(self) -> None:
        """Let nobody take what an ended command has written for the output of the next; no failure matters."""
        for stream in (self._out, self._err):
            with suppress(OSError):
                os.unlink(stream.path)  # noqa: PTH108 - it is a name

    def _processes(self) -> processes.Family:
        if self._family is None:
            self._family = processes.Family(self.token, self.pid, self.session_start)
        return self._family

    def _facts(self, status: int | None) -> Ended:
        duration_s = time.monotonic() - self._begun
        self._written = [self._outputs.take_back(stream) for stream in (self._out, self._err)]
        if status is None:
            return Ended(None, None, duration_s, "its exit code was lost: another part of this process took it")
        code = os.waitstatus_to_exitcode(status)
        error = last_line(Path(self._err.path)) if code and self._written[1] else None
        return Ended(code if code >= 0 else None, -code if code < 0 else None, duration_s, error)


def given_environment() -> dict[bytes, bytes]:
    """Return the environment of this process without what Python itself has added to it.

    In a locale without UTF-8 Python sets ``LC_CTYPE`` for itself (PEP 538), where nobody else did.
    """
    environment = dict(os.environb)
    with suppress(OSError):  # no /proc: nothing is known
        if not re.search(rb"(?:^|\0)LC_CTYPE=", Path("/proc/self/environ").read_bytes()):
            environment.pop(b"LC_CTYPE", None)
    return environment


class Runner:
    """Starts commands, each in the environment *base* and what its job adds to it. For one thread.

    Commands that run at the same time need different paths for their output.

    While a command is being started, the working directory of this process is the command's.
    """

    def __init__(self, base: Mapping[bytes, bytes] | None = None) -> None:
        self._base = given_environment() if base is None else dict(base)
        self._outputs = Outputs()
        # The descriptors 0 to 2 of the command replace those of this process: nothing else may be there.
        while (null := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
            pass
        self._null = null
        self._home = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of what is kept open between commands."""
        self._outputs.close()
        os.close(self._null)
        os.close(self._home)

    def start(
        self,
        command: str,
        *,
        cwd: str | None,
        env: Mapping[str, str],
        token: str,
        job_id: str,
        attempt_number: int,
        out_path: str,
        err_path: str,
    ) -> Attempt | StartFailure:
        """Start *command* by ``/bin/sh -c``; its output goes to the two files, which are empty then.

        Raises ``OSError`` if the machine cannot do it now (processes, memory, descriptors, disk): the job is not to
        blame, and nothing has run. The paths must be absolute.
        """
        try:
            text = command.encode("utf-8", "surrogateescape")
            environment = self._environment(env, cwd, token, job_id, attempt_number)
            streams = self._open_streams(out_path, err_path)
            try:
                begun, before = time.monotonic(), processes.clock_ticks()
                pid = self._spawn(text, cwd, environment, streams)
            except BaseException:
                for stream in streams:
                    self._outputs.discard(stream)
                raise
            finally:
                for stream in streams:
                    os.close(stream.fd)
        except UnicodeEncodeError as error:
            return StartFailure(f"not a text: {error}")
        except _Unstartable as error:
            return StartFailure(visible(str(error)))
        session_start = processes.start_of(pid, before)
        return Attempt(
            pid, begun=begun, session_start=session_start, token=token, outputs=self._outputs, streams=streams
        )

    def _open_streams(self, out_path: str, err_path: str) -> tuple[Output, Output]:
        out = self._outputs.open(out_path)
        try:
            return out, self._outputs.open(err_path)
        except BaseException:
            os.close(out.fd)
            self._outputs.discard(out)
            raise

    def _environment(
        self, env: Mapping[str, str], cwd: str | None, token: str, job_id: str, attempt_number: int
    ) -> dict[bytes, bytes]:
        environment = self._base.copy()
        if cwd is not None:
            environment[b"PWD"] = os.fsencode(cwd)
        for name, value in env.items():
            environment[name.encode("utf-8", "surrogateescape")] = value.encode("utf-8", "surrogateescape")
        environment[b"QUEUECTL_JOB_ID"] = job_id.encode()
        environment[b"QUEUECTL_ATTEMPT"] = b"%d" % attempt_number
        environment[processes.CLAIM_VARIABLE.encode()] = token.encode()
        return environment

    def _spawn(
        self, text: bytes, cwd: str | None, environment: dict[bytes, bytes], streams: tuple[Output, Output]
    ) -> int:
        # sh would take such a text for options.
        argv = (_SHELL, b"-c", b"--", text) if text.startswith((b"-", b"+")) else (_SHELL, b"-c", text)
        if cwd is not None:
            try:
                os.chdir(cwd)
            except (OSError, ValueError) as error:
                problem = _FOLDER_PROBLEMS.get(error.errno or 0) if isinstance(error, OSError) else "has no valid name"
                if problem is None:
                    raise
                msg = f"working directory {problem}: {cwd}"
                raise _Unstartable(msg) from error
        try:
            return os.posix_spawn(
                _SHELL,
                argv,
                environment,
                file_actions=(
                    (os.POSIX_SPAWN_DUP2, self._null, 0),
                    (os.POSIX_SPAWN_DUP2, streams[0].fd, 1),
                    (os.POSIX_SPAWN_DUP2, streams[1].fd, 2),
                ),
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULT_SIGNALS,
            )
        except ValueError as error:  # a NUL byte, or a "=" in the name of a variable
            raise _Unstartable(str(error)) from error
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            msg = "the command and its environment are longer than the system allows"
            raise _Unstartable(msg) from error
        finally:
            if cwd is not None:
                os.fchdir(self._home)


def _notice_of_end(pid: int) -> int:
    """Return a descriptor that becomes readable when the child *pid* has ended."""
    if sys.platform == "linux":
        with suppress(OSError):  # an old kernel, or a sandbox that forbids it
            return os.pidfd_open(pid)
    try:
        read_end, write_end = os.pipe()
        threading.Thread(target=_close_at_end, args=(pid, write_end), daemon=True).start()
    except BaseException:
        # Nobody would ever learn of its end.
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return read_end


def _close_at_end(pid: int, write_end: int) -> None:
    """Wait for the end of the child *pid*, without reaping it."""
    with suppress(OSError):
        if sys.platform == "linux":
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        else:
            import select

            ending = select.kevent(
                pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
            )
            with closing(select.kqueue()) as queue:
                queue.control([ending], 1)
    os.close(write_end)
