"""`tracker engine build`: compile a model, and let it pass the parity gate."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracker.cli.progress import say
from tracker.errors import ModelError, OutputError, RequirementError, TrackerError, UsageError, WriteError

if TYPE_CHECKING:
    import engines
    from engines.build_cache import Plan
    from tracker.detect import ModelCard
    from tracker.detect.model import Model


def _range(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """A batch, 8 or 1:8, as (least, largest)."""
    if value is None:
        return None
    least, colon, largest = value.partition(":")
    numbers = [int(part) for part in (least, largest if colon else least) if part.isdigit()]
    if len(numbers) < 2 or not 1 <= numbers[0] <= numbers[1] <= 1024:
        raise click.BadParameter(f"wanted a batch of 1 to 1024 such as 8 or 1:8, got {value}", ctx, param)
    return numbers[0], numbers[1]


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """A size in pixels, 640x384, as (width, height)."""
    if value is None:
        return None
    sides = [int(part) for part in value.lower().split("x") if part.isdigit()]
    if len(sides) != 2 or not all(32 <= side <= 8192 and side % 32 == 0 for side in sides):
        raise click.BadParameter(f"wanted a size such as 640x384, multiples of 32 up to 8192, got {value}", ctx, param)
    return sides[0], sides[1]


@click.command(
    "build",
    epilog="""\b
Examples:
  tracker engine build --model street6 --runtime tensorrt-rtx --precision fp16 --batch 1:8
  tracker engine build --model street6 --runtime tensorrt-rtx --gpu sm89 --output street6.plan   (no GPU needed)
  tracker engine build --model m.onnx --runtime openvino --precision int8 --calibrate videos/street.mp4""",
)
@click.option("--model", required=True, metavar="NAME|FILE", help="Card (`tracker models list`) or .onnx file.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Also copy it here (.plan; openvino: .xml; torch: .pt2)."
)
@click.option("--runtime", required=True, type=click.Choice(["tensorrt", "tensorrt-rtx", "openvino", "torch"]))
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
    default="fp32",
    show_default=True,
    help="bf16: of torch only; int8: of the others only.",
)
@click.option("--calibrate", metavar="SOURCE", help="Frames that INT8 takes its ranges from: video or folder.")
@click.option("--gpu", metavar="SM,SM", help="Kinds of GPU to compile for (sm89). [default: the one here, else all]")
@click.option("--batch", callback=_range, metavar="N|MIN:MAX", help="Pictures an inference. [default: the model's]")
@click.option("--size", callback=_size, metavar="WxH", help="Input size, pixels, where the model leaves it open.")
@click.option("--workspace", type=click.IntRange(1, 1 << 20), metavar="MB", help="Memory that a layer may use, MiB.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
def build(**flags: Any) -> None:
    """Compile a model, compare its boxes with the ONNX's; prints the path of the plan.

    A plan that finds other boxes is refused, and one of the next higher precision takes its place.
    """
    from engines.build import precisions_of, runtime_version
    from tracker.cli.signals import interruptible
    from tracker.detect.model import find_model

    with translated():
        runtime_version(flags["runtime"])  # what is not there is told before any work
    offered = precisions_of(flags["runtime"])
    if flags["precision"] not in offered:
        raise UsageError(f"{flags['runtime']} is built in {', '.join(offered)}, not in {flags['precision']}")
    if flags["calibrate"] and flags["precision"] != "int8":
        raise UsageError(f"--calibrate is for --precision int8, not {flags['precision']}; leave it out")
    model = find_model(flags["model"])
    if model.path.suffix.lower() != ".onnx":
        raise ModelError(f"engine build compiles .onnx files, {model.path} is {model.path.suffix}")
    outputs = _outputs(flags, model.path, model.card)
    with interruptible(), translated():
        plan = _Building(flags, model).checked()
    click.echo(_copy(plan, model.card, outputs) if outputs else plan.path)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of `engines` as ours."""
    import engines

    try:
        yield
    except engines.EngineUnavailable as error:
        raise RequirementError(str(error)) from None
    except engines.EngineError as error:
        raise ModelError(str(error)) from None


class _Building:
    """One `engine build`: shapes and frames for INT8, the plan, its parity."""

    def __init__(self, flags: dict[str, Any], model: Model) -> None:
        """Refuse what is not there before any work. Raises EngineError, TrackerError."""
        from engines.build import choose_targets
        from tracker.config import DetectSettings
        from tracker.detect.model import input_shapes

        self.runtime: str = flags["runtime"]
        self._flags, self._model, size = flags, model, flags["size"]
        self._targets = tuple(part.strip() for part in (flags["gpu"] or "").split(",") if part.strip())
        choose_targets(self.runtime, self._targets)
        self._settings = DetectSettings(model=flags["model"], workers=1, input_size=max(size) if size else None)
        (name, shape), *_ = input_shapes(model, self._settings, size).items()
        found = shape[1:3] if shape[1] != 3 else shape[2:4]
        if size and found != (size[1], size[0]):
            raise UsageError(f"the model's input is {found[1]}x{found[0]}, --size {size[0]}x{size[1]} was asked for")
        low, high = flags["batch"] or (shape[0], shape[0])
        self._shape, self._batch = {name: shape}, (low, high)
        self._profiles = {name: ((low, *shape[1:]), (high, *shape[1:]), (high, *shape[1:]))}

    def checked(self) -> Plan:
        """The plan in the precision asked for, or in the next that finds the ONNX's boxes.

        Raises:
            TrackerError: no precision does. EngineError: it cannot be built.
        """
        from tracker.detect.parity import LOWER, told

        precision: str = self._flags["precision"]
        feeds = self._feeds() if precision == "int8" else []
        while True:
            plan = self._plan(precision, feeds)
            parity = self._parity(plan)
            say(f"{plan.path.name}: {told(parity)}")
            if parity.get("passed", True):
                return plan
            if precision not in LOWER:
                raise TrackerError(f"{plan.path.name} finds other boxes than its ONNX; use another --runtime")
            precision = LOWER[precision]
            say(f"notice: {plan.path.name} is refused, {precision} takes its place")

    def _plan(self, precision: str, feeds: Sequence[Mapping[str, engines.Array]]) -> Plan:
        """Built, or there already; says which. Raises EngineError."""
        from engines.build import Request, build_plan

        workspace = self._flags["workspace"] or 0
        request = Request(
            self._model.path, self.runtime, precision, self._profiles, self._targets, workspace, feeds
        )  # fmt: skip
        plan = build_plan(request, say)
        size = sum(entry["bytes"] for entry in plan.notes["files"].values()) / 1e6
        how = f"built in {plan.notes['seconds']:.1f} s" if plan.built else "there already"
        target = plan.notes["ingredients"]["target"]
        say(f"{plan.path.name}: {how}, {size:.1f} MB, {self.runtime} {precision} for {target}")
        return plan

    def _parity(self, plan: Plan) -> Mapping[str, Any]:
        """How well its boxes agree with the ONNX's; stored beside it. Raises EngineError, TrackerError."""
        import engines
        from tracker.cli.engine_frames import beside
        from tracker.detect.gate import check, comparing, nothing, open_reference, store
        from tracker.detect.model import detector_on
        from tracker.detect.parity import unmeasured

        known = plan.notes.get("parity") or {}
        if known.get("measured"):
            return dict(known)
        try:
            # The plan's own loss is meant, not that of a processor that computes in bf16 where it can.
            precision = "fp32" if self.runtime == "openvino" else "auto"
            engine = engines.load(plan.path, self.runtime, engines.EngineOptions(shape={}, precision=precision))
        except (engines.EngineUnavailable, engines.EngineLoadError) as error:
            if isinstance(error, engines.EngineLoadError) and not self._targets:
                raise
            parity = unmeasured(str(error) if engines.has_gpu() else "no GPU here")
            store(plan.path, parity)
            return parity
        source, settings = self._flags["calibrate"], self._settings
        try:
            return check(
                plan, lambda: open_reference(self._model, self._shape, settings),
                lambda: detector_on(self._model, engine, comparing(settings), batch=self._batch),
                beside(source) if source else nothing, self._batch[0],
            )  # fmt: skip
        finally:
            engine.close()

    def _feeds(self) -> list[dict[str, engines.Array]]:
        """Inputs for INT8's ranges. Raises SourceError."""
        from tracker.cli.engine_frames import feeds_of, frames_of
        from tracker.detect.gate import open_reference
        from tracker.detect.rendered import rendered_frames

        source = self._flags["calibrate"]
        if source is None:
            say(
                "notice: no --calibrate: INT8 takes its ranges from bundled rendered frames; your own give better boxes"
            )
        detector = open_reference(self._model, self._shape, self._settings)
        try:
            fed = feeds_of(detector, frames_of(source) if source else rendered_frames())
        finally:
            detector.close()
        if not fed:
            raise UsageError(f"--calibrate {source} holds no frame")
        say(f"INT8 calibrates on {len(fed)} frames")
        return fed


def _outputs(flags: dict[str, Any], model: Path, card: ModelCard | None) -> list[Path]:
    """Files that --output asks for, the one named last; none without it. Raises OutputError."""
    from engines.build import FILES
    from engines.build_cache import notes_path
    from tracker.write.paths import check_paths

    output, suffixes = flags["output"], FILES[flags["runtime"]]
    if output is None:
        return []
    if output.suffix != suffixes[-1]:
        raise OutputError(f"--output {output}: a plan for {flags['runtime']} is named *{suffixes[-1]}")
    files = [output.with_suffix(suffix) for suffix in suffixes]
    wanted = [notes_path(output), *files]
    if card and _card_beside(output) != _card_text(card):
        wanted.append(output.with_suffix(".yaml"))
    named = {f"--output {path.suffix}": path for path in wanted}
    check_paths(named, overwrite=flags["overwrite"], source=str(model))
    return files


def _card_text(card: ModelCard) -> str:
    """What is kept of a card beside a plan: how to talk to it. It names the model's own file, whose plan it is."""
    import yaml

    kept = card.model_dump(mode="json", include={"name", "file", "head", "input", "classes", "licence", "summary"})
    return str(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=110))


def _card_beside(output: Path) -> str | None:
    """The card that lies there already."""
    try:
        return output.with_suffix(".yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _copy(plan: Plan, card: ModelCard | None, outputs: list[Path]) -> Path:
    """Copy a plan, its notes and the model's card to where the user wants them. Raises WriteError."""
    from engines.build_cache import notes_path
    from tracker.write.files import partial_path

    output = outputs[-1]
    copies = [(plan.path.with_suffix(path.suffix), path) for path in outputs]
    copies.append((notes_path(plan.path), notes_path(output)))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        for source, target in copies:
            shutil.copyfile(source, partial_path(target))
            partial_path(target).replace(target)
        if card is not None:
            partial_path(output.with_suffix(".yaml")).write_text(_card_text(card), encoding="utf-8")
            partial_path(output.with_suffix(".yaml")).replace(output.with_suffix(".yaml"))
    except OSError as error:
        raise WriteError(f"--output {output} cannot be written: {error.strerror}; choose another name") from None
    return output
