"""ONNX -> compiled plan, once: in a child process, behind a lock, under a key of all that decides what comes out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import Any

from engines.base import Array, EngineLoadError, EngineUnavailable, never
from engines.build_cache import Plan, Say, fault, key_of, locked, notes_path, plan_folder, plans, publish, read_notes
from engines.build_child import follow
from engines.build_graph import Profile, prepare
from engines.precision import PRECISIONS, RECIPE, convert, load_onnx
from engines.storage import sha256_of
from engines.tensorrt_driver import Gpu, find_gpu

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx", "openvino": "openvino", "torch": "torch"}
"""Runtimes that plans are built for, and the Python module of each."""
PACKAGES = {
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt-rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
    "openvino": ("openvino",),
    "torch": ("torch",),
}
FILES = {"tensorrt": (".plan",), "tensorrt-rtx": (".plan",), "openvino": (".bin", ".xml"), "torch": (".pt2",)}
"""Suffixes of what a build leaves; the last is the one to load."""
TORCH_PRECISIONS = ("fp32", "fp16", "bf16")
TORCH_RECIPE = 1
"""Part of the key of a program for PyTorch, beside RECIPE: raised when `torch_graph` changes what it writes."""
RTX_TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120")
WORKER = "from engines.build_worker import main; main()"


@dataclass(frozen=True)
class Request:
    """What to build.

    Attributes:
        model: an .onnx file. runtime: one of MODULES. precision: one of PRECISIONS.
        profiles: least, best and largest shape of each input.
        targets: kinds of GPU ("sm89") to compile for; empty: the GPU here, or all that the runtime knows.
        workspace_mb: memory that a layer may use while it runs, MiB; 0: as the runtime likes.
        feeds: real inputs, for INT8's ranges. stopped: see `EngineOptions`.
    """

    model: Path
    runtime: str
    precision: str
    profiles: Mapping[str, Profile]
    targets: tuple[str, ...] = ()
    workspace_mb: int = 0
    feeds: Sequence[Mapping[str, Array]] = field(default=(), repr=False)
    stopped: Callable[[], bool] = field(default=never, repr=False, compare=False)


def runtime_version(runtime: str) -> str:
    """Version of a runtime's package, without importing it.

    Raises:
        EngineUnavailable: it is not installed, or plans are not built for it.
    """
    if runtime not in MODULES:
        raise EngineUnavailable(f"plans are built for {', '.join(MODULES)}, not for {runtime}")
    for package in PACKAGES[runtime]:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    extra = "openvino" if runtime == "openvino" else f"'tracker[{runtime}]'"
    raise EngineUnavailable(f"{runtime} is not installed; pip install {extra}")


def choose_targets(runtime: str, wanted: tuple[str, ...]) -> tuple[tuple[str, ...], Gpu | None]:
    """Kinds of GPU to compile for, and the GPU here if it is the one compiled for.

    Raises:
        EngineUnavailable: a kind that the runtime cannot compile for here.
    """
    if runtime in ("openvino", "torch"):
        if wanted:
            what = "compiles for the processor" if runtime == "openvino" else "exports one program for all devices"
            raise EngineUnavailable(f"{runtime} {what}; leave --gpu out")
        return (), None
    unknown = [name for name in wanted if not re.fullmatch(r"sm\d{2,3}", name)]
    if unknown:
        raise EngineLoadError(f"a kind of GPU is written sm89, got {unknown[0]}")
    if runtime == "tensorrt":
        return _only_here(wanted)
    if wanted:
        missing = [name for name in wanted if name not in RTX_TARGETS]
        if missing:
            raise EngineUnavailable(
                f"{runtime} does not compile for {missing[0]}; it does for {', '.join(RTX_TARGETS)}"
            )
        return tuple(sorted(set(wanted), key=RTX_TARGETS.index)), None
    try:
        gpu = find_gpu()
    except EngineUnavailable:
        return RTX_TARGETS, None
    return ("current",), gpu


def _only_here(wanted: tuple[str, ...]) -> tuple[tuple[str, ...], Gpu]:
    """TensorRT times its kernels on the GPU: it builds for the one that is there."""
    try:
        gpu = find_gpu()
    except EngineUnavailable as error:
        raise EngineUnavailable(
            f"tensorrt builds only where its GPU is: {error}; --runtime tensorrt-rtx --gpu sm89 builds without one"
        ) from None
    if wanted not in ((), (gpu.target,)):
        raise EngineUnavailable(
            f"tensorrt builds for the GPU here ({gpu.name}, {gpu.target}), not for {','.join(wanted)}; "
            "--runtime tensorrt-rtx can"
        )
    return (), gpu


def precisions_of(runtime: str) -> tuple[str, ...]:
    """Precisions that plans for a runtime are built in."""
    return TORCH_PRECISIONS if runtime == "torch" else PRECISIONS


def ingredients(request: Request) -> dict[str, Any]:
    """All that decides what the plan is.

    Raises:
        EngineUnavailable, EngineLoadError: as `runtime_version`, `choose_targets` and reading the model say.
    """
    offered = precisions_of(request.runtime)
    if request.precision not in offered:
        raise EngineUnavailable(
            f"precision for {request.runtime} must be one of {', '.join(offered)}, got {request.precision}"
        )
    version = runtime_version(request.runtime)
    targets, gpu = choose_targets(request.runtime, request.targets)
    return {
        "model_sha256": _model_digest(request.model),
        "runtime": request.runtime,
        "runtime_version": version,
        "target": gpu.target if gpu else "+".join(targets) or ("any" if request.runtime == "torch" else "cpu"),
        "gpu": gpu.name if gpu else None,
        "driver_major": gpu.driver_major if gpu else None,
        "precision": request.precision,
        "shapes": {name: [list(shape) for shape in profile] for name, profile in sorted(request.profiles.items())},
        "workspace_mb": request.workspace_mb,
        "calibration_sha256": _feeds_digest(request.feeds) if request.precision == "int8" else None,
        "recipe": RECIPE if request.runtime != "torch" else [RECIPE, TORCH_RECIPE],
    }


def _model_digest(model: Path) -> str:
    """SHA-256 of a model and of the files that exporters put its weights in beside it."""
    beside = (model.with_name(f"{model.name}.data"), model.with_name(f"{model.name}_data"))
    try:
        return sha256_of(model, *(path for path in beside if path.is_file()))
    except OSError as error:
        raise EngineLoadError(f"model {model} cannot be read: {error.strerror}") from None


def _feeds_digest(feeds: Sequence[Mapping[str, Array]]) -> str:
    digest = hashlib.sha256()
    for feed in feeds:
        for name, array in sorted(feed.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def build_plan(request: Request, say: Say, folder: Path | None = None) -> Plan:
    """The plan of this request, from the cache or compiled now; two processes that ask at once compile it once.

    An interrupted build leaves nothing. A plan that is damaged is built again, the reason told in one line.

    Args:
        request: what to build. say: takes lines of progress. folder: the cache; None: the user's.

    Raises:
        EngineUnavailable: the runtime or the GPU asked for is not there.
        EngineLoadError: the model cannot be read, prepared or compiled, or the cache cannot be written.
        EngineStopped: `request.stopped` ended it.
    """
    made_of = ingredients(request)
    key, where = key_of(made_of), folder or plan_folder()
    suffix = FILES[request.runtime][-1]
    plan = where / f"{request.model.stem}-{request.precision}-{key[:16]}{suffix}"
    with locked(plan.with_name(f"{plan.name}.lock"), say, request.stopped):
        try:
            reason = fault(plan, key)
            if reason is None:
                return Plan(plan, read_notes(plan), False)
            if plan.exists() or notes_path(plan).exists():
                say(f"{plan.name}: {reason}; building it again")
            else:
                _tell_nearest(where, made_of, say)
            return _build(request, made_of, plan, say)
        except OSError as error:
            raise EngineLoadError(f"the plan cache {where} cannot be written: {error.strerror}") from None


def _tell_nearest(folder: Path, made_of: Mapping[str, Any], say: Say) -> None:
    """Name the plan that differs in one thing only: why there is a build although there was one before."""
    for plan in plans(folder):
        try:
            other = read_notes(plan)["ingredients"]
        except ValueError:
            continue
        differs = [name for name, value in made_of.items() if other.get(name) != value]
        if len(differs) == 1:
            say(f"{plan.name} differs in its {differs[0].replace('_', ' ')}; building a new plan")
            return


def _build(request: Request, made_of: Mapping[str, Any], plan: Path, say: Say) -> Plan:
    """Prepare, compile and publish; the folder of the job goes whatever happens. Raises EngineLoadError, OSError."""
    started_s = monotonic()
    job = plan.with_name(f"{plan.name}.partial")
    if job.exists():
        say(f"{job.name} was left by a build that was killed; cleared")
        shutil.rmtree(job)
    job.mkdir(mode=0o700)
    try:
        _write_job(request, job)
        say(f"compiling {request.model.name} with {request.runtime} {made_of['runtime_version']} ({request.precision})")
        result = _compile(request, job, say)
        files = {suffix: job / f"model{suffix}" for suffix in FILES[request.runtime]}
        seconds = round(monotonic() - started_s, 3)
        notes = {"model": request.model.name, "ingredients": made_of, "seconds": seconds, **result}
        return Plan(plan, publish(files, plan, notes), True)
    finally:
        shutil.rmtree(job, ignore_errors=True)


def _write_job(request: Request, job: Path) -> None:
    """The graph in its precision and what the child must know."""
    # OpenVINO compresses weights by itself and chooses the precision where it runs.
    itself = request.runtime == "openvino" and request.precision == "fp16"
    graph = load_onnx(request.model)
    if not graph.graph.output:  # an empty file is a valid protobuf
        raise EngineLoadError(f"{request.model} is not an ONNX model: it holds no graph")
    graph = prepare(graph, request.profiles)
    # The list of what is safe in half precision is the same for bfloat16, which takes its place in the child.
    precision = {"bf16": "fp16"}.get(request.precision, request.precision)
    graph = convert(graph, "fp32" if itself else precision, request.feeds, job)
    try:
        (job / "model.onnx").write_bytes(graph.SerializeToString())
    except ValueError:
        raise EngineLoadError(f"{request.model} is larger than the 2 GB that a compiler takes in one piece") from None
    content = {
        "module": MODULES[request.runtime], "precision": request.precision, "workspace_mb": request.workspace_mb,
        "targets": choose_targets(request.runtime, request.targets)[0], "shapes": dict(request.profiles),
    }  # fmt: skip
    (job / "job.json").write_text(json.dumps(content), encoding="utf-8")


def _compile(request: Request, job: Path, say: Say) -> dict[str, Any]:
    """Run the child in the job's folder, passing on what it says; it is killed when we are interrupted."""
    paths = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (job / "stderr.txt").open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", WORKER], cwd=job, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
    try:
        follow(child, say, request.stopped)
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            assert stream is not None
            stream.close()
    if child.returncode == 0:
        result: dict[str, Any] = json.loads((job / "result.json").read_text(encoding="utf-8"))
        return result
    lines = (job / "stderr.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = lines[-1] if lines and child.returncode > 0 else f"the compiler ended with code {child.returncode}"
    raise EngineLoadError(f"{request.runtime} cannot compile {request.model}: {reason[:500]}")
