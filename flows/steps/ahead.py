"""Reading ahead: what comes next is made in a thread while what came before is being used."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    """The end of what is read, or what went wrong."""

    error: BaseException | None = None


def read_ahead(items: Generator[T, None, None]) -> Iterator[T]:
    """Yield what a generator yields, in its order; at most one that is not asked for yet is made in advance.

    An error comes where the generator would have raised it. Whoever stops early does not wait for the thread: it closes
    the generator as soon as what it is making is done, and never keeps the process from ending.
    """
    made: SimpleQueue[T | _End] = SimpleQueue()
    wanted, stopped = Semaphore(), Event()
    Thread(target=_make, args=(items, made, wanted, stopped), name="read-ahead", daemon=True).start()
    try:
        while not isinstance(found := made.get(), _End):
            wanted.release()
            yield found
        if found.error is not None:
            raise found.error
    finally:
        stopped.set()
        wanted.release()


def _make(items: Generator[T, None, None], made: "SimpleQueue[T | _End]", wanted: Semaphore, stopped: Event) -> None:
    try:
        while wanted.acquire() and not stopped.is_set():
            made.put(next(items))
    except StopIteration:
        made.put(_End())
    except BaseException as error:
        made.put(_End(error))
    finally:
        items.close()
