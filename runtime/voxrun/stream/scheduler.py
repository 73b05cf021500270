"""One pass of the model for all sessions: what waits is computed together, round by round, in MLX's thread.

A round encodes a bounded number of positions, shared among the streams that have none left, and runs the
decoder once for all streams that have. Then it goes to the end of the thread's queue, so that new sessions
and models being loaded come in between. Streams join and leave between passes; nobody waits under a lock.

Where MLX computes while Python goes on (a GPU), a round submits its passes, and before it reads their tokens
it submits what will be wanted next (`voxrun.stream.decoding`): the encoder's next blocks of streams that soon
have none left, or the next step. What a stream has in flight is dropped with its state.

What goes wrong in one stream's own part (its samples, its `on_result`) ends that session only. What goes
wrong in a pass (out of memory) ends those that were in it, whether it fails when it is submitted or when it
is read: their caches may be half written.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import numpy as np

from voxrun.device import own_kernels
from voxrun.errors import VoxrunError
from voxrun.mlx_thread import later
from voxrun.parallel import one_blas_thread

from .computation import Computation
from .decoding import Pass, passes, submit, submit_next
from .generator import Generator
from .tuning import tuning

Decoder = tuple[Computation, Generator]
"""A generator, and the stream that it decodes."""


class Scheduler:
    """All sessions of this process that have work."""

    def __init__(self) -> None:
        self._woken: deque[Computation] = deque()  # by other threads
        self._posted = False  # whether a round waits in the thread's queue
        self._busy: list[Computation] = []
        self._met: WeakSet[Computation] = WeakSet()  # also those that have no work now

    def wake(self, computation: Computation) -> None:
        """Something was queued, or cancelled. Raises VoxrunError as `mlx_thread.later` does."""
        self._woken.append(computation)
        self._post()

    def drive(self, future: "Future[Any]") -> None:
        """In MLX's thread itself (a destructor, a callback): do rounds until the future is done.

        Raises VoxrunError if that has to wait for the pass in which this is called.
        """
        while not future.done():
            if not self._round():
                raise VoxrunError(
                    "feed, flush and finish wait for the model, which waits for this function: in on_result"
                    " use feed_later, flush_later and finish_later"
                )

    def _post(self) -> None:
        """Have a round done, unless one waits already.

        Without a lock: what is woken before a round takes off its mark is done in it; two rounds do no harm.
        """
        if self._posted:
            return
        self._posted = True
        try:
            later(self._turn)
        except BaseException:
            self._posted = False
            raise

    def _turn(self) -> None:
        self._posted = False
        self._round()
        if self._busy:
            self._post()

    def _round(self) -> bool:
        """One encoder pass and one decoder pass for each model; whether there was anything to do."""
        found, self._busy = self._busy, []
        while self._woken:
            found.append(self._woken.popleft())
        at_work = list(dict.fromkeys(c for c in found if not c.in_pass))
        self._busy = [c for c in found if c.in_pass]  # this is called within their pass
        self._met.update(at_work)
        with one_blas_thread(), np.errstate(all="ignore"):  # a damaged model gives no warnings
            for computation in at_work:
                computation.in_pass = True
                with _own_part(computation):
                    _begin(computation)
            live = any(c.live for c in self._met)
            for group in _by_model(at_work):
                with _shared(group):
                    _compute(group, beside_live=live)
        for computation in at_work:
            computation.in_pass = False
            computation.answer()
        self._busy += [c for c in at_work if c.has_work]
        return bool(at_work)


def _by_model(computations: Iterable[Computation]) -> list[list[Computation]]:
    groups: dict[int, list[Computation]] = {}
    for computation in computations:
        groups.setdefault(id(computation.model), []).append(computation)
    return list(groups.values())


def _compute(group: Sequence[Computation], beside_live: bool) -> None:
    """One round of the streams of a model; fewer positions are encoded while any session is live."""
    sizes = tuning()
    positions = sizes.block_positions if beside_live else sizes.files_positions
    left = _encode([c for c in group if c.is_hungry(0)], positions)
    ready = [(c, generator) for c in group for generator in c.ready]
    submitted = [(together, _submit(together)) for together in passes(ready)]
    if not own_kernels():
        if len(ready) == 1:  # others would join its next step
            _submit_next(*submitted[0])
        _encode([c for c in group if c.is_hungry(sizes.look_ahead[-1])], left)
    for together, now in submitted:
        _read(together, now)
    for computation in group:
        with _own_part(computation):
            computation.settle()


def _begin(computation: Computation) -> None:
    if computation.cancelled:
        computation.close()
    elif computation.failure:
        computation.fail(VoxrunError(f"the session has failed ({computation.failure}); start another"))
    else:
        computation.begin()


def _encode(hungry: Sequence[Computation], positions: int) -> int:
    """One pass of the encoder, in which who has little audio gets all of it. The positions that are left."""
    most = tuning().block_positions
    taken, left = [], positions
    for i, computation in enumerate(sorted(hungry, key=lambda c: c.waiting_samples)):
        if left <= 0:
            break  # the others' turn is the next round
        with _own_part(computation):
            share = min(most, left // (len(hungry) - i))
            frames = computation.take(max(1, share))
            if frames is not None:
                taken.append((computation, frames))
                left -= len(frames) // computation.model.config.mel_per_position
    if taken:
        with _shared([computation for computation, _ in taken]):
            model, mels = taken[0][0].model, [frames for _, frames in taken]
            embeddings = model.encode_all(mels, [computation.encoder_state for computation, _ in taken])
            for (computation, _), block in zip(taken, embeddings, strict=True):
                computation.hear(block)
    return left


def _submit(together: Sequence[Decoder]) -> Pass | None:
    """One pass of the decoder; None if it has failed."""
    with _shared([computation for computation, _ in together]):
        return submit(together[0][0].model, [generator for _, generator in together])
    return None


def _submit_next(together: Sequence[Decoder], now: Pass | None) -> None:
    with _shared([computation for computation, _ in together]):
        if now is not None:
            submit_next(now)


def _read(together: Sequence[Decoder], now: Pass | None) -> None:
    """Give each stream the tokens of a pass."""
    with _shared([computation for computation, _ in together]):
        for (computation, generator), take in zip(together, now.read() if now else (), strict=False):
            with _own_part(computation):
                computation.deliver(generator, take())


@contextmanager
def _own_part(computation: Computation) -> Iterator[None]:
    """What goes wrong here ends this session only."""
    try:
        yield
    except BaseException as error:  # whatever it is, it belongs to the caller
        computation.fail(error)


@contextmanager
def _shared(computations: Iterable[Computation]) -> Iterator[None]:
    """What goes wrong here ends all these sessions."""
    try:
        yield
    except BaseException as error:
        for computation in computations:
            computation.fail(error)


SCHEDULER = Scheduler()
