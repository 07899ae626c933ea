"""`tracker engine`: compile a model for a runtime, see what is compiled already, check it."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracker.cli.progress import say
from tracker.errors import ModelError, OutputError, RequirementError, TrackerError, UsageError, WriteError

if TYPE_CHECKING:
    import engines
    from engines.build_cache import Plan
    from tracker.detect import EngineDetector, ModelCard


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


@click.group("engine")
def command() -> None:
    """Compile a model for a runtime once; what is compiled is kept."""


@command.command(
    "build",
    epilog="""\b
Examples:
  tracker engine build --model street6 --runtime tensorrt-rtx --precision fp16 --batch 1:8
  tracker engine build --model street6 --runtime tensorrt-rtx --gpu sm89 --output street6.plan   (no GPU needed)
  tracker engine build --model m.onnx --runtime openvino --precision int8 --calibrate videos/street.mp4""",
)
@click.option("--model", required=True, metavar="NAME|FILE", help="Card (`tracker models list`) or .onnx file.")
@click.option("--output", type=click.Path(path_type=Path), help="Also copy it here (.plan; openvino: .xml).")
@click.option("--runtime", required=True, type=click.Choice(["tensorrt", "tensorrt-rtx", "openvino", "torch"]))
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True)
@click.option("--calibrate", metavar="SOURCE", help="Frames that INT8 takes its ranges from: video or folder.")
@click.option("--gpu", metavar="SM,SM", help="Kinds of GPU to compile for (sm89). [default: the one here, else all]")
@click.option("--batch", callback=_range, metavar="N|MIN:MAX", help="Pictures an inference. [default: the model's]")
@click.option("--size", callback=_size, metavar="WxH", help="Input size, pixels, where the model leaves it open.")
@click.option("--workspace", type=click.IntRange(1, 1 << 20), metavar="MB", help="Memory that a layer may use, MiB.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
def build(**flags: Any) -> None:
    """Compile a model; prints the path of the plan."""
    from tracker.detect import find_card

    if flags["runtime"] == "torch":
        raise RequirementError("torch: nothing is compiled for it yet; build for tensorrt, tensorrt-rtx or openvino")
    if flags["calibrate"] and flags["precision"] != "int8":
        raise UsageError(f"--calibrate is for --precision int8, not {flags['precision']}; leave it out")
    card, path = find_card(flags["model"])
    if path.suffix.lower() != ".onnx":
        raise ModelError(f"engine build compiles .onnx files, {path} is {path.suffix}")
    outputs = _outputs(flags, path, card)
    with _ending_softly(), _translated():
        plan = _build(flags, path)
        size = sum(entry["bytes"] for entry in plan.notes["files"].values()) / 1e6
        how = f"built in {plan.notes['seconds']:.1f} s" if plan.built else "there already"
        target = plan.notes["ingredients"]["target"]
        say(f"{plan.path.name}: {how}, {size:.1f} MB, {flags['runtime']} {flags['precision']} for {target}")
    click.echo(_copy(plan, card, outputs) if outputs else plan.path)


@contextmanager
def _ending_softly() -> Iterator[None]:
    """While inside, SIGTERM ends the work as Ctrl-C does: nothing is left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of `engines` as ours."""
    import engines

    try:
        yield
    except engines.EngineUnavailable as error:
        raise RequirementError(str(error)) from None
    except engines.EngineError as error:
        raise ModelError(str(error)) from None


def _build(flags: dict[str, Any], path: Path) -> Plan:
    """Shapes and calibration, then the build. Raises EngineError, TrackerError."""
    from engines.build import Request, build_plan, choose_targets, runtime_version

    targets = tuple(part.strip() for part in (flags["gpu"] or "").split(",") if part.strip())
    runtime_version(flags["runtime"])  # what is not there is told before any work
    choose_targets(flags["runtime"], targets)
    detector = _detector(flags)
    try:
        spec = detector.engine.inputs[0]
        shape = tuple(side or 1 for side in spec.shape)
        low, high = flags["batch"] or (shape[0], shape[0])
        rest = shape[1:]
        feeds = _feeds(flags["calibrate"], detector) if flags["precision"] == "int8" else []
    finally:
        detector.close()
    profiles = {spec.name: ((low, *rest), (high, *rest), (high, *rest))}
    workspace = flags["workspace"] or 0
    return build_plan(Request(path, flags["runtime"], flags["precision"], profiles, targets, workspace, feeds), say)


def _detector(flags: dict[str, Any]) -> EngineDetector:
    """The model as ONNX Runtime runs it: it fills in open sides and prepares frames. Raises TrackerError."""
    from tracker.config import DetectSettings
    from tracker.detect import open_detector

    size = flags["size"]
    settings = DetectSettings(
        model=flags["model"], runtime="onnxruntime", precision="auto", workers=1, input_size=max(size) if size else None
    )
    detector, _ = open_detector(settings, size)
    if size and detector.size_hw != (size[1], size[0]):
        found = detector.size_hw
        detector.close()
        raise UsageError(f"the model's input is {found[1]}x{found[0]}, --size {size[0]}x{size[1]} was asked for")
    return detector


def _feeds(source: str | None, detector: EngineDetector) -> list[dict[str, engines.Array]]:
    """Inputs for INT8's ranges. Raises SourceError."""
    from tracker.cli.engine_frames import feeds_of, frames_of, rendered_frames

    if source is None:
        say("notice: no --calibrate: INT8 takes its ranges from bundled rendered frames; your own give better boxes")
    fed = feeds_of(detector, frames_of(source) if source else rendered_frames())
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


@command.command("list", epilog="\b\nExample:\n  tracker engine list")
def list_plans() -> None:
    """One line a plan of the cache: model, runtime, kind of GPU, precision, shapes, MB, seconds to build."""
    from engines.build_cache import plan_folder, plans, read_notes

    with _translated():
        folder = plan_folder()
    found = list(plans(folder))
    for plan in found:
        try:
            notes = read_notes(plan)
        except ValueError as error:
            click.echo(f"{plan.name}: {error}")
            continue
        of = notes["ingredients"]
        shapes = ", ".join(
            "x".join(str(low) if low == high else f"{low}:{high}" for low, high in zip(least, largest, strict=True))
            for least, _, largest in of["shapes"].values()
        )
        size = sum(entry["bytes"] for entry in notes["files"].values()) / 1e6
        runtime = f"{of['runtime']} {of['runtime_version']}"
        click.echo(
            f"{plan.name}  {runtime}  {of['gpu'] or of['target']}  {of['precision']}  {shapes}  {size:.1f} MB  "
            f"{notes['seconds']:.1f} s"
        )
    say(f"{len(found)} plans in {folder}")


@command.command("verify", epilog="\b\nExamples:\n  tracker engine verify\n  tracker engine verify street6.plan")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def verify(files: tuple[Path, ...]) -> None:
    """Check plans (the cache's, or FILES): whole, unchanged, loadable where the machine can. Exit 1 if one is not."""
    from engines.build_cache import plan_folder, plans

    with _translated():
        listed = list(files) or list(plans(plan_folder()))
    bad = 0
    for plan in listed:
        reason, state = _state(plan, own=not files)
        bad += reason
        click.echo(f"{plan if files else plan.name}: {state}")
    if bad:
        raise TrackerError(
            f"{bad} of {len(listed)} plans cannot be used; `tracker engine build` builds them again when asked for them"
        )
    say(f"{len(listed)} plans checked")


def _state(plan: Path, own: bool) -> tuple[bool, str]:
    """Whether a plan is of no use, and what is to be said about it."""
    import engines
    from engines.build import runtime_version
    from engines.build_cache import fault, read_notes

    reason = "there is no such file" if not plan.exists() else fault(plan, own=own)
    if reason is not None:
        return True, reason
    of = read_notes(plan)["ingredients"]
    try:
        version = runtime_version(of["runtime"])
        if version != of["runtime_version"]:
            return False, f"whole; built with {of['runtime']} {of['runtime_version']}, {version} is installed"
        _load(plan, of["runtime"])
    except engines.EngineUnavailable as error:
        return False, f"whole; not loaded: {error}"
    except engines.EngineError as error:
        return True, str(error)
    return False, "whole, loads"


def _load(plan: Path, runtime: str) -> None:
    """Load a plan and let go of it. Raises EngineError."""
    import engines

    options = engines.EngineOptions(shape={})
    if runtime == "openvino":
        engines.load(plan, runtime, options).close()
        return
    from engines.tensorrt import TensorRtEngine

    TensorRtEngine(plan, options, runtime).close()
