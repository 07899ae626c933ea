"""PyTorch: exported programs on the CPU, and on an NVIDIA GPU with pinned buffers and CUDA graphs.

Programs come from `engines.build`. Loading one can run any code: torch.export.load unpickles without restriction and
evaluates the expressions in a program's sizes. So a program is loaded only if the user's own cache on this machine
holds it, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Lock, local
from typing import Any

import numpy as np

from engines.base import (
    Array,
    EngineInferError,
    EngineLoadError,
    EngineOptions,
    EngineOutOfMemory,
    EngineUnavailable,
    TensorSpec,
    check_feeds,
    is_out_of_memory,
)
from engines.build_cache import Say, fault, plan_folder, plans, read_notes
from engines.tensorrt_driver import find_gpu
from engines.torch_lanes import Bound, Lane, OnCpu, OnGpu, Shapes

WAIT_S = 600.0


class TorchEngine:
    """An exported program (.pt2) in PyTorch, on one thread of its own an inference in flight."""

    def __init__(
        self, plan: Path, options: EngineOptions, say: Say = lambda line: None, folder: Path | None = None
    ) -> None:
        """Load `plan` on `options.device` ("auto": the GPU, where driver and library have one).

        Args:
            plan: a program in the plan cache, or a copy of one. options: `shape` is not read.
            say: takes lines about what is slower than it need be. folder: the plan cache; None: the user's.

        Raises:
            EngineUnavailable: torch is not installed, or device or precision are not to be had here.
            EngineLoadError: the program is damaged, of another version, or not one of the cache.
            EngineOutOfMemory: the device cannot hold it.
        """
        content, notes = _own(plan, folder or plan_folder())
        torch = import_library()
        self.device = choose_device(options.device)
        self.precision = _precision_of(plan, str(notes["ingredients"]["precision"]), options.precision, self.device)
        self.runtime = f"torch {torch.__version__.partition('+')[0]}"
        self.inputs, self.outputs = (
            tuple(TensorSpec(s["name"], tuple(s["shape"]), np.dtype(s["dtype"])) for s in notes[kind])
            for kind in ("inputs", "outputs")
        )
        try:
            self._module = _load(torch, content, self.device)
        except Exception as error:  # zip, pickle and PyTorch's schemas have no common base class
            raise self._failure(error, f"torch cannot load {plan}", EngineLoadError) from None
        self._capturing = Lock()
        self._say = say
        self._lanes = local()
        self._pool = ThreadPoolExecutor(max(1, options.streams), "torch")
        try:
            self._start(torch, options)
        except Exception as error:
            self.close()
            raise self._failure(error, f"torch cannot run {plan}", EngineLoadError) from None

    def _start(self, torch: Any, options: EngineOptions) -> None:
        """Begin all threads, each with its lane.

        PyTorch's number of threads is the calling thread's; the callers' own, and what the process gives to threads
        that begin later, stay what they were.
        """
        before, count = torch.get_num_threads(), max(1, options.streams)
        barrier = Barrier(count)

        def begin() -> None:
            try:
                torch.get_num_threads()  # takes the process' number over, which would undo what follows
                torch.set_num_threads(options.threads or before)
                self._lanes.lane = self._lane(torch)
                barrier.wait(WAIT_S)
            except BaseException:
                barrier.abort()
                raise

        begun = [self._pool.submit(begin) for _ in range(count)]
        errors = [error for error in (future.exception() for future in begun) if error is not None]
        torch.set_num_threads(before)
        for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
            raise error

    def _lane(self, torch: Any) -> Lane:
        """The lane of this thread; with fixed shapes its memory is taken, and its graph captured, now."""

        def bind(shapes: Shapes) -> Bound:
            given = [(shape, getattr(torch, s.dtype.name)) for shape, s in zip(shapes, self.inputs, strict=True)]
            if self.device == "cpu":
                return OnCpu(torch, self._module, given)
            return OnGpu(torch, self._module, given, self.device, self._say)

        if self.device != "cpu":
            torch.cuda.set_device(self.device)
            torch.cuda.set_stream(torch.cuda.Stream(self.device))
        lane = Lane([spec.name for spec in self.inputs], [spec.name for spec in self.outputs], bind)
        shapes = [spec.shape for spec in self.inputs]
        if not any(None in shape for shape in shapes):
            lane.bound(tuple(tuple(side or 0 for side in shape) for shape in shapes), self._capturing)
        return lane

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.infer`. Raises EngineOutOfMemory, too."""
        check_feeds(self.inputs, feeds)
        if self._module is None:
            raise EngineInferError("this engine is closed")
        future = self._pool.submit(self._run, feeds)
        error = future.exception()
        if error is None:
            return future.result()
        failure = self._failure(error, "torch failed", EngineInferError)
        # Its traceback holds what was computed so far: memory that whoever tries a smaller batch needs.
        del future, error
        raise failure

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        lane: Lane = self._lanes.lane
        return lane.run(feeds, self._capturing)

    def _failure(self, error: BaseException, what: str, kind: type[Exception]) -> Exception:
        """The library's error as one of ours."""
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
        if is_out_of_memory(error):
            return EngineOutOfMemory(f"{what}: {self.device} has no memory left ({reason}); use a smaller batch")
        return kind(f"{what}: {reason}")

    def close(self) -> None:
        """Let go of the program, its graphs and buffers."""
        self._pool.shutdown(wait=True)
        if self._module is None:
            return
        self._lanes, self._module = local(), None
        if self.device != "cpu":
            import_library().cuda.empty_cache()  # PyTorch keeps freed memory from the other runtimes


def _own(plan: Path, folder: Path) -> tuple[bytes, dict[str, Any]]:
    """Content and notes of a program that the cache in `folder` holds under this or another name.

    Raises:
        EngineLoadError: it holds none like this, or somebody else could have written it.
    """
    try:
        content = plan.read_bytes()
        digest = sha256(content).hexdigest()
        owner = folder.stat() if folder.is_dir() else None
    except OSError as error:
        raise EngineLoadError(f"program {plan} cannot be read: {error.strerror}") from None
    if owner and os.name != "nt" and (owner.st_uid != os.getuid() or owner.st_mode & 0o022):
        raise EngineLoadError(f"the plan cache {folder} is another user's or open to others; chmod 700 it")
    kept = plan if plan.parent.resolve() == folder.resolve() else _twin(folder, digest)
    reason = fault(kept) if kept else "the plan cache does not hold it"
    if kept and reason is None:
        notes = read_notes(kept)
        if notes["ingredients"].get("runtime") == "torch" and notes["files"][".pt2"]["sha256"] == digest:
            return content, notes
        reason = "its notes are of something else"
    raise EngineLoadError(
        f"program {plan} is not loaded: {reason}; a program is code, so only those built here are run; "
        "build it from its ONNX with `tracker engine build --runtime torch`"
    )


def _twin(folder: Path, digest: str) -> Path | None:
    """The program of the cache that has this content, by its notes."""
    for kept in plans(folder):
        try:
            if read_notes(kept)["files"].get(".pt2", {}).get("sha256") == digest:
                return kept
        except ValueError:
            continue
    return None


def _load(torch: Any, content: bytes, device: str) -> Any:
    """The program as a module on `device`. Raises whatever PyTorch raises."""
    program = torch.export.load(BytesIO(content))
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    module = program.module()
    for weight in module.buffers():
        if weight.dim() == 4 and weight.is_floating_point():
            # The layout in which the convolutions of both oneDNN and cuDNN are fastest.
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


def import_library() -> Any:
    """The module `torch`. Raises EngineUnavailable, naming the extra that brings it."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
        raise EngineUnavailable(f"torch cannot be imported ({error}); pip install 'tracker[torch]'") from None
    return torch


def choose_device(wanted: str) -> str:
    """The device for "auto", "cpu" or "cuda:N"; the driver is asked before the library.

    Raises:
        EngineUnavailable: no such device, or a PyTorch without CUDA.
    """
    kind, _, number = wanted.partition(":")
    if wanted == "cpu":
        return wanted
    if wanted != "auto" and (kind != "cuda" or not number.isdigit()):
        raise EngineUnavailable(f"torch runs on cpu and cuda:N, device {wanted} was asked for")
    try:
        gpu = find_gpu(int(number or 0))
        torch = import_library()
        if gpu.index >= torch.cuda.device_count():
            raise EngineUnavailable(f"torch {torch.__version__} cannot use {gpu.name}: it needs a build for CUDA")
    except EngineUnavailable as error:
        if wanted == "auto":
            return "cpu"
        raise EngineUnavailable(f"device {wanted} is not there for torch: {error}") from None
    return f"cuda:{gpu.index}"


def choose_precision(wanted: str, device: str) -> str:
    """The precision of a program for `device`; "auto": fp16 on a GPU, fp32 on the CPU.

    Raises:
        EngineUnavailable: none that programs are built in, or one that the device has no instructions for.
    """
    if wanted == "auto":
        return "fp32" if device == "cpu" else "fp16"
    if wanted not in ("fp32", "fp16", "bf16"):
        raise EngineUnavailable(f"torch builds fp32, fp16 and bf16, precision {wanted} was asked for")
    if wanted == "fp16" and device == "cpu":
        raise EngineUnavailable("torch computes fp16 on a GPU only; on the cpu ask for fp32 or bf16")
    if wanted == "bf16" and not _has_bf16(device):
        raise EngineUnavailable(f"{device} has no instructions for bf16; ask for fp32")
    return wanted


def _has_bf16(device: str) -> bool:
    torch = import_library()
    if device != "cpu":
        return bool(torch.cuda.get_device_capability(device) >= (8, 0))
    if not hasattr(torch.cpu, "get_capabilities"):
        raise EngineUnavailable(f"torch {torch.__version__} cannot tell whether the cpu has bf16; take a newer one")
    return any("bf16" in name and has for name, has in torch.cpu.get_capabilities().items())


def _precision_of(plan: Path, built: str, wanted: str, device: str) -> str:
    """The precision of a program, which must be the one wanted and fit the device. Raises EngineUnavailable."""
    if wanted not in ("auto", built):
        raise EngineUnavailable(f"program {plan} is {built}, precision {wanted} was asked for; build another")
    return choose_precision(built, device)
