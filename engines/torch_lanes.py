"""One inference in flight in PyTorch: its buffers, and on a GPU its stream and CUDA graph."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from threading import Lock
from typing import Any, Protocol

import numpy as np

from engines.base import Array, is_out_of_memory
from engines.build_cache import Say

SHAPES = 8
"""Sets of shapes that a lane keeps buffers and a CUDA graph for."""
WARM_UPS = 3
Shapes = tuple[tuple[int, ...], ...]


class Bound(Protocol):
    """A program with the memory for one set of shapes.

    Attributes:
        arrays: where the inputs are written, in their order.
    """

    arrays: list[Array]

    def run(self) -> list[Array]:
        """Run on what is written there. The next run overwrites the arrays returned."""


class Lane:
    """The memory of one inference in flight, for the shapes that came last."""

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str], bind: Callable[[Shapes], Bound]) -> None:
        """`bind` makes what one set of shapes of the inputs needs."""
        self._inputs, self._outputs, self._bind = inputs, outputs, bind
        self._kept: OrderedDict[Shapes, Bound] = OrderedDict()

    def bound(self, shapes: Shapes, making: Lock) -> Bound:
        """What these shapes need: as kept, or made in place of what was unused for longest.

        `making` is held meanwhile: no two threads capture a graph at once.
        """
        with nullcontext() if shapes in self._kept else making:
            if shapes not in self._kept:
                if len(self._kept) == SHAPES:
                    self._kept.popitem(last=False)
                self._kept[shapes] = self._bind(shapes)
        self._kept.move_to_end(shapes)
        return self._kept[shapes]

    def run(self, feeds: Mapping[str, Array], making: Lock) -> dict[str, Array]:
        """One inference; the arrays belong to the caller."""
        bound = self.bound(tuple(feeds[name].shape for name in self._inputs), making)
        for array, name in zip(bound.arrays, self._inputs, strict=True):
            np.copyto(array, feeds[name])
        # Copied: the buffers are written again by the next inference, and an output may be an input or a constant.
        return {name: array.copy() for name, array in zip(self._outputs, bound.run(), strict=True)}


class OnCpu:
    """A program on the CPU. See Bound."""

    def __init__(self, torch: Any, module: Any, specs: Sequence[tuple[tuple[int, ...], Any]]) -> None:
        """Of inputs of these (shape, torch dtype)."""
        self._torch, self._module = torch, module
        self._given = [torch.zeros(shape, dtype=kind) for shape, kind in specs]
        self.arrays: list[Array] = [tensor.numpy() for tensor in self._given]

    def run(self) -> list[Array]:
        """See Bound."""
        with self._torch.inference_mode():
            return [result.numpy() for result in self._module(*self._given)]


class OnGpu:
    """A program on an NVIDIA GPU, in the stream that is this thread's own: pinned buffers, a CUDA graph. See Bound."""

    def __init__(
        self, torch: Any, module: Any, specs: Sequence[tuple[tuple[int, ...], Any]], device: str, say: Say
    ) -> None:
        """Of inputs of these (shape, torch dtype). A graph that cannot be captured is done without, and told.

        Raises:
            torch.OutOfMemoryError: as PyTorch does.
        """
        self._torch, self._module, self._stream = torch, module, torch.cuda.current_stream()
        self._pinned = [torch.zeros(shape, dtype=kind, pin_memory=True) for shape, kind in specs]
        self.arrays: list[Array] = [tensor.numpy() for tensor in self._pinned]
        # Convolutions in FP32 are FP32: by itself PyTorch takes TF32 for them, ten bits of mantissa.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            self._given = [tensor.to(device) for tensor in self._pinned]
            # Libraries choose their kernels and take their memory in the first runs, which no graph may record.
            for _ in range(WARM_UPS):
                self._results = module(*self._given)
            self._stream.synchronize()
            self._graph = self._capture(say)
            self._fetched = [torch.empty(result.shape, dtype=result.dtype, pin_memory=True) for result in self._results]

    def _capture(self, say: Say) -> Any:
        """The run as a CUDA graph; None where it cannot be one."""
        graph = self._torch.cuda.CUDAGraph()
        try:
            # thread_local: other threads may go on using the GPU meanwhile.
            with self._torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                results = self._module(*self._given)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            say(f"torch runs without a CUDA graph, slower: {reason[:200]}")
            return None
        self._results = results
        return graph

    def run(self) -> list[Array]:
        """See Bound: copy in, run, copy out, wait once."""
        with self._torch.inference_mode():
            for given, pinned in zip(self._given, self._pinned, strict=True):
                given.copy_(pinned, non_blocking=True)
            if self._graph is None:
                self._results = self._module(*self._given)
            else:
                self._graph.replay()
            for fetched, result in zip(self._fetched, self._results, strict=True):
                fetched.copy_(result, non_blocking=True)
        self._stream.synchronize()
        return [fetched.numpy() for fetched in self._fetched]
