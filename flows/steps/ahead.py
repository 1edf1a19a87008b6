"""Reading ahead: what comes next is made in a thread while what came before is being used."""

from collections.abc import Generator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

LONGEST_WAIT = 10.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    """The end of what is read, or what went wrong."""

    error: BaseException | None = None


def read_ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Yield what a generator yields, in its order; at most one that is not asked for yet is made in advance.

    An error comes where the generator would have raised it. Whoever closes this early waits for the thread, which
    finishes what it is making and closes the generator; but only for ten seconds, for a source may never answer.
    """
    made: SimpleQueue[T | _End] = SimpleQueue()
    wanted, stopped = Semaphore(), Event()
    maker = Thread(target=_make, args=(items, made, wanted, stopped), name="read-ahead", daemon=True)
    maker.start()
    try:
        while not isinstance(found := made.get(), _End):
            wanted.release()
            yield found
        if found.error is not None:
            raise found.error
    finally:
        stopped.set()
        wanted.release()
        # A process that ends while the thread is inside Arrow may be aborted.
        maker.join(LONGEST_WAIT)


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
