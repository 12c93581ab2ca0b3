"""Being asked to stop: SIGINT, SIGTERM and SIGUSR1 (what Slurm sends) all mean "keep what is done, and end".

Most work can end anywhere, as each piece of it is stored when it is done. Training cannot: a step is taken whole and a
checkpoint written first. So a signal raises KeyboardInterrupt, except where work `holds` it and asks for it between
pieces. A transaction of the store is whole. A second signal never waits.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stop:
    """Whether this process has been asked to stop, and whether that takes effect at once."""

    def __init__(self) -> None:
        self.asked = False
        self._held = False
        self._listening = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Signals come here. Only the main thread of a program gets any."""
        if self._listening or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        self._listening = True
        try:
            yield
        finally:
            self._listening = False
            for number, old in before.items():
                signal.signal(number, old)

    @contextmanager
    def holding(self, held: bool = True) -> Iterator[None]:
        """A signal only sets `asked` (or, with `held` False within such work, interrupts again)."""
        before, self._held = self._held, held
        try:
            if self.asked and not held:
                raise KeyboardInterrupt
            yield
        finally:
            self._held = before

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is too short to be cut in two: a signal interrupts behind it, where it is not held anyway."""
        before = self.asked
        with self.holding():
            yield
        if self.asked and not before and not self._held:
            self.asked = False
            raise KeyboardInterrupt

    def _handle(self, _number: int, _frame: Any) -> None:
        if self.asked or not self._held:
            raise KeyboardInterrupt
        self.asked = True
