"""Stands in for huey, with a consumer whose workers are processes."""

import multiprocessing
from collections.abc import Callable

_processes = multiprocessing.get_context("fork")


class Result:
    """What a task will return."""

    def __init__(self) -> None:
        self._read, self._write = _processes.Pipe(duplex=False)

    def set(self, value: int) -> None:
        self._write.send(value)

    def get(self, *, blocking: bool, timeout: float) -> int:
        assert blocking
        assert self._read.poll(timeout)
        value: int = self._read.recv()
        return value


class Consumer:
    """Runs the tasks in their order."""

    def __init__(self, tasks: list[tuple[Callable[[], int], Result]], workers: int) -> None:
        self._tasks = tasks
        self._taken = _processes.Value("i", 0)
        self._workers = [_processes.Process(target=self._work, daemon=True) for _ in range(workers)]

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        for worker in self._workers:
            worker.join()

    def _work(self) -> None:
        while True:
            with self._taken:
                number = self._taken.value
                self._taken.value += 1
            if number >= len(self._tasks):
                return
            run, result = self._tasks[number]
            result.set(run())


class SqliteHuey:
    """Takes tasks."""

    def __init__(self, *, filename: str) -> None:
        assert filename
        self._tasks: list[tuple[Callable[[], int], Result]] = []

    def task(self) -> Callable[[Callable[[], int]], Callable[[], Result]]:
        def make_task(run: Callable[[], int]) -> Callable[[], Result]:
            def enqueue() -> Result:
                result = Result()
                self._tasks.append((run, result))
                return result

            return enqueue

        return make_task

    def create_consumer(self, *, workers: int, worker_type: str, **_: object) -> Consumer:
        assert worker_type == "process"
        return Consumer(self._tasks, workers)
