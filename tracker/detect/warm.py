"""`--warm-start`: run on the next runtime of the ladder while a plan is compiled, and change over when it is ready."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread

import engines
from tracker.detect.detector import EngineDetector
from tracker.detect.open import Opener
from tracker.detect.relay import RelayDetector, StepDown
from tracker.errors import TrackerError, UsageError

Say = Callable[[str], None]
PATIENCE_S = 30.0
"""How long an end waits for a compiler to be stopped."""


class Building:
    """A detector that is opened in a thread of its own."""

    def __init__(self, open_it: Callable[[Say, Callable[[], bool]], EngineDetector], say: Say) -> None:
        """Begin. `open_it` gets a `say`, and what it has to ask whether it was told to `stop`."""
        self._open_it, self._say = open_it, say
        self._turn = Condition()
        self._begun = self._stopped = self._done = False
        self._detector: EngineDetector | None = None
        self._error: Exception | None = None
        self._ready: Callable[[EngineDetector], None] | None = None
        self._failed: Callable[[Exception], None] = lambda error: None
        self._thread = Thread(target=self._work, name="build", daemon=True)
        self._thread.start()

    def wait_begun(self) -> EngineDetector | None:
        """The detector if it was there without compiling, None as soon as it compiles. Raises what opening raised."""
        with self._turn:
            self._turn.wait_for(lambda: self._begun or self._done)
            if self._error is not None:
                raise self._error
            return self._detector

    def then(self, ready: Callable[[EngineDetector], None], failed: Callable[[Exception], None]) -> None:
        """What to do with the detector, or with what kept it from being opened; at once if it is done already."""
        with self._turn:
            self._ready, self._failed = ready, failed
            done = self._done
        if done:
            self._deliver()

    @property
    def done(self) -> bool:
        """Whether it has come to an end, a good one or a bad one."""
        with self._turn:
            return self._done

    def stop(self) -> None:
        """End the build and wait until it has cleaned up after itself."""
        with self._turn:
            self._stopped = True
        self._thread.join(PATIENCE_S)

    def _work(self) -> None:
        """The thread."""
        try:
            detector = self._open_it(self._tell, self._is_stopped)
        except Exception as error:
            self._finish(None, error)
        else:
            self._finish(detector, None)

    def _tell(self, line: str) -> None:
        """A line of progress: the first one means that something is compiled."""
        with self._turn:
            self._begun = True
            self._turn.notify_all()
            if self._stopped:
                raise engines.EngineStopped("the run ended before the plan was ready")
        self._say(line)

    def _is_stopped(self) -> bool:
        return self._stopped

    def _finish(self, detector: EngineDetector | None, error: Exception | None) -> None:
        with self._turn:
            self._detector, self._error, self._done = detector, error, True
            self._turn.notify_all()
            wanted = self._ready is not None
        if wanted:
            self._deliver()

    def _deliver(self) -> None:
        """Hand the result over, once."""
        with self._turn:
            detector, error, ready = self._detector, self._error, self._ready
            self._ready = None
        if ready is None:
            return
        if detector is not None:
            ready(detector)
        elif error is not None and not isinstance(error, engines.EngineStopped):
            self._failed(error)


class WarmDetector(RelayDetector):
    """A relay whose best runtime is still being compiled for."""

    def __init__(
        self, first: EngineDetector, building: Building, name: str, step_down: StepDown | None, say: Say
    ) -> None:  # fmt: skip
        """Begin with `first`; the detector of `building`, on the runtime `name`, takes over as soon as it is there."""
        super().__init__(first, step_down, say)
        self._building, self._name = building, name
        building.then(
            self.swap, lambda error: self.warn(f"{name} was not built: {error}; the run goes on with what it began on")
        )

    @property
    def warnings(self) -> list[str]:
        """See `RelayDetector.warnings`."""
        late = f"the run ended before its plan for {self._name} was ready; without --warm-start it is built first"
        return [*super().warnings, *([] if self._building.done else [late])]

    def close(self) -> None:
        """Let go of all engines and stop the build."""
        super().close()
        self._building.stop()


def open_relay(opener: Opener, *, warm: bool = False, say: Say = lambda line: None) -> RelayDetector:
    """The detector of a run: it steps down the ladder where a GPU has no memory left, and may start `warm`.

    Args:
        opener: has found the model and its rungs. warm: while the first rung is compiled, run on one below it.
        say: takes lines of progress and of changes.

    Raises:
        UsageError: nothing can stand in for the runtime. Else as `Opener.first`.
    """
    step_down = opener.step_down if opener.may_step_down else None
    if warm and opener.rungs[0].compiles and not opener.model.is_plan:
        return _open_warm(opener, step_down, say)
    if warm:
        opener.notices.append("--warm-start: nothing is compiled for this run, so it waits for nothing")
    return RelayDetector(opener.first(), step_down, say)


def _open_warm(opener: Opener, step_down: StepDown | None, say: Say) -> RelayDetector:
    """The first rung at once where its plan is there already, else one below that needs no plan, until it is."""
    rung = opener.rungs[0]
    stand_ins = [other for other in opener.below(rung) if not other.compiles]
    if not stand_ins:
        raise UsageError(f"--warm-start: nothing can run while {rung.runtime} is compiled; leave it out")
    building = Building(lambda tell, stopped: opener.open(rung, tell, stopped), say)
    try:
        try:
            ready = building.wait_begun()
        except (TrackerError, engines.EngineError):
            return RelayDetector(opener.first(), step_down, say)  # which tells what the matter is
        if ready is not None:
            return RelayDetector(ready, step_down, say)
        opener.rungs = stand_ins
        return WarmDetector(opener.first(), building, rung.runtime, step_down, say)
    except BaseException:
        building.stop()
        raise
