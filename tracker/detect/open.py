"""Choose card, runtime and input size, load the engine, and say what really runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import engines
from tracker.config import DetectSettings
from tracker.detect.detector import EngineDetector, Observe
from tracker.detect.fused import FusedDetector, fused_where_wanted
from tracker.detect.gate import Frames, check, check_named, comparing, nothing, open_reference
from tracker.detect.ladder import PLANS, Rung, below, first_rungs, rung_of
from tracker.detect.model import detector_on, find_model, input_shapes
from tracker.detect.parity import LOWER, told
from tracker.detect.sharing import share_cores
from tracker.detect.tiled import one_look, tiled_where_wanted
from tracker.errors import ConfigError, ModelError, RequirementError, TrackerError

Say = Callable[[str], None]


def open_detector(
    settings: DetectSettings, source: tuple[int, int] | None, *, live: bool = False, require: str | None = None,
    observe: Observe = lambda stage, seconds: None, say: Say = lambda line: None, frames: Frames = nothing,
) -> tuple[EngineDetector, list[str]]:  # fmt: skip
    """Load the detector for pictures of `source` (width, height); None: pictures of many shapes, a square input.

    Args:
        live: all cores work on one picture. require: the runtime that must run. observe: told the seconds of stages.
        say: takes lines of progress while a plan is compiled. frames: the user's, to compare a new plan's boxes on.

    Returns:
        The detector and notices, one line each: what was tried and did not work, what is slower than it need be.

    Raises:
        ConfigError: `require` and the runtime asked for contradict each other.
        ModelError: no such model, not a model, outputs of no known head, or a card that contradicts its model.
        RequirementError: `require` or the runtime, device or precision asked for is not there.
    """
    opener = Opener(settings, source, live=live, require=require, observe=observe, say=say, frames=frames)
    return opener.first(), opener.notices


class Opener:
    """Opens one model on one runtime of the ladder after the other.

    Attributes:
        notices: what was tried and did not work so far, one line each.
        rungs: the ones still to be tried.
    """

    def __init__(
        self, settings: DetectSettings, source: tuple[int, int] | None, *, live: bool = False,
        require: str | None = None, observe: Observe = lambda stage, seconds: None,
        say: Say = lambda line: None, frames: Frames = nothing, aspect_only: bool = False,
    ) -> None:  # fmt: skip
        """Find the model and the rungs; nothing is loaded yet. Arguments and errors as of `open_detector`.

        Args:
            aspect_only: `source` is but the aspect of the pictures to come, which are of many sizes.
        """
        if require and settings.runtime not in ("auto", require):
            raise ConfigError(
                f"runtime {settings.runtime} is asked for and {require} is required; leave one of the two out"
            )
        self.notices: list[str] = []
        self.model = find_model(settings.model)
        self._settings, self._source, self._require = settings, source, require
        self._one_look, self._size = one_look(settings), None if aspect_only else source
        self._observe, self._say, self._frames = observe, say, frames
        sharing, card = share_cores(settings, live), self.model.card
        careful = card.precision if card and settings.precision == "auto" else "auto"
        self._options = engines.EngineOptions(
            shape=input_shapes(self.model, settings, source),
            precision=settings.precision if careful == "auto" else careful, device=settings.device,
            threads=sharing.threads, streams=sharing.workers,
        )  # fmt: skip
        path, wanted = self.model.path, require or settings.runtime
        takers = PLANS.get(path.suffix.lower(), ())
        if takers and wanted not in ("auto", *takers):
            raise ModelError(f"{path} is a plan for {' or '.join(takers)}, runtime {wanted} was asked for")
        self.rungs = first_rungs(path, settings.runtime, settings.device, require)

    def first(self) -> EngineDetector:
        """The detector on the first rung left that works; `notices` tell of those before.

        Raises:
            ModelError, RequirementError, ConfigError: as `open_detector` says.
        """
        reasons, alone = list[str](), len(self.rungs) == 1
        while self.rungs:
            rung = self.rungs.pop(0)
            try:
                return self.open(rung, self._say)
            except engines.EngineUnavailable as error:
                reasons.append(f"{rung.runtime} is not available: {error}")
            except engines.EngineOutOfMemory as error:
                if alone:
                    raise TrackerError(str(error)) from None
                reasons.append(f"{rung.runtime} has no memory for the model: {error}")
            except engines.EngineLoadError as error:
                if alone:
                    raise ModelError(str(error)) from None
                reasons.append(f"{rung.runtime} refused the model: {error}")
            except engines.EngineError as error:
                if alone:
                    raise ModelError(f"{self.model.path} does not run: {error}") from None
                reasons.append(f"{rung.runtime} does not run the model: {error}")
            self.notices.append(reasons[-1])
        raise RequirementError("; ".join(reasons) or "no runtime is left to try")

    def below(self, rung: Rung) -> list[Rung]:
        """The rungs below one."""
        return below(rung, self.model.path, self._settings.device)

    @property
    def may_step_down(self) -> bool:
        """Whether another runtime may take the place of one that fails: not of one that is required, nor of a plan."""
        return not self._require and not self.model.is_plan

    def step_down(self, engine: engines.Engine) -> EngineDetector:
        """The detector on the first rung below this engine's that works. Raises RequirementError: none is left."""
        known = len(self.notices)
        self.rungs = self.below(rung_of(engine))
        try:
            return self.first()
        finally:
            for line in self.notices[known:]:
                self._say(f"notice: {line}")

    def open(self, rung: Rung, say: Say, stopped: Callable[[], bool] = lambda: False) -> EngineDetector:
        """The detector on this rung; a compiled one has passed the parity gate.

        Args:
            rung: where. say: takes lines of progress. stopped: True ends a build (EngineStopped).

        Raises:
            EngineError: the runtime is not there, refuses the model, or fails to run it.
            ModelError, ConfigError: as `open_detector` says.
        """
        options = replace(self._options, device=rung.device, stopped=stopped)
        while True:
            engine, plan = engines.load_plan(self.model.path, rung.runtime, options, say)
            try:
                usual = detector_on(self.model, engine, self._one_look, self._observe)
                lower = self._refused(plan, engine, options, say)
                if not lower:
                    return self._tiled(self._finish(usual, rung, options, say))
            except BaseException:
                engine.close()
                raise
            engine.close()
            options = replace(options, precision=lower)

    def _refused(
        self, plan: engines.Plan | None, engine: engines.Engine, options: engines.EngineOptions, say: Say
    ) -> str:
        """The precision to take in the place of a plan that the parity gate refuses; "": it passes.

        Raises:
            EngineLoadError: it is refused, and no precision is left.
        """
        if self.model.is_plan:
            self._notice(check_named(self.model, engine, self._settings, self._frames))
        if plan is None:
            return ""
        known = (plan.notes.get("parity") or {}).get("measured")
        parity = check(
            plan, lambda: open_reference(self.model, options.shape, self._settings),
            lambda: detector_on(self.model, engine, comparing(self._settings)), self._frames,
        )  # fmt: skip
        if not known:
            say(f"{plan.path.name}: {told(parity)}")
        if parity.get("passed", True):
            return ""
        precision = str(plan.notes["ingredients"]["precision"])
        if precision not in LOWER:
            raise engines.EngineLoadError(f"{plan.path.name}: {told(parity)}")
        self._notice(f"{plan.path.name}: {told(parity)}, {LOWER[precision]} takes its place")
        return LOWER[precision]

    def _finish(self, usual: EngineDetector, rung: Rung, options: engines.EngineOptions, say: Say) -> EngineDetector:
        """Letterbox and suppression into the graph where that is wanted, and what is to be said about the batch."""
        made: list[engines.Plan | None] = []

        def load(path: Path, shape: Mapping[str, tuple[int, ...]]) -> engines.Engine:
            engine, plan = engines.load_plan(path, rung.runtime, replace(options, shape=shape), say)
            made.append(plan)
            return engine

        least, largest = usual.batch
        if least > 1:
            how = f"fixed at {least}" if least == largest else f"{least} at least"
            self._notice(f"the model's batch is {how}: single frames are padded")
        detector, notices = fused_where_wanted(usual, self._source, load)
        for notice in notices:
            self._notice(notice)
        if isinstance(detector, FusedDetector) and made and made[0] is not None:
            return self._checked_fused(made[0], usual, detector, options, say)
        return detector

    def _checked_fused(
        self, plan: engines.Plan, usual: EngineDetector, fused: FusedDetector, options: engines.EngineOptions, say: Say
    ) -> EngineDetector:
        """The fused detector if its plan passes the gate, else the usual one; both run in the same precision."""
        settings = comparing(self._settings)
        parity = check(
            plan, lambda: open_reference(self.model, options.shape, self._settings),
            lambda: FusedDetector(detector_on(self.model, usual.engine, settings), fused.engine, fused.picture),
            self._frames,
        )  # fmt: skip
        if parity.get("passed", True):
            return fused
        fused.engine.close()
        self._notice(f"letterbox and suppression stay on the host: {told(parity)}")
        return usual

    def _tiled(self, detector: EngineDetector) -> EngineDetector:
        """The same with tiles and mirrored pictures, where they are wanted."""
        tiled, notices = tiled_where_wanted(detector, self._settings, self._size)
        for notice in notices:
            self._notice(notice)
        return tiled

    def _notice(self, line: str) -> None:
        if line and line not in self.notices:
            self.notices.append(line)
