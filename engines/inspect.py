"""Look into a model file without running it: inputs, outputs and the notes that exporters leave in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.base import EngineLoadError, EngineUnavailable, TensorSpec
from engines.quiet import import_openvino


@dataclass(frozen=True)
class ModelSignature:
    """Inputs and outputs as the file has them (None: dynamic), and its metadata (text by key)."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]


def inspect(model: Path) -> ModelSignature:
    """Signature of an .onnx (through ONNX Runtime), .xml or .tflite file (through OpenVINO).

    Raises:
        EngineUnavailable: the library that reads this format is not installed.
        EngineLoadError: the file is not a model of its format.
    """
    return _inspect_onnx(model) if model.suffix.lower() == ".onnx" else _inspect_openvino(model)


def _inspect_onnx(model: Path) -> ModelSignature:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise EngineUnavailable(f"onnxruntime cannot be imported ({error}); pip install onnxruntime") from None
    from engines.onnxruntime import spec_of

    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common public base class for these
        raise EngineLoadError(f"{model} is not an ONNX model: {str(error).strip().splitlines()[0]}") from None
    inputs = tuple(spec_of(node, None) for node in session.get_inputs())
    outputs = tuple(spec_of(node, None) for node in session.get_outputs())
    return ModelSignature(inputs, outputs, dict(session.get_modelmeta().custom_metadata_map))


def _inspect_openvino(model: Path) -> ModelSignature:
    try:
        openvino = import_openvino()
    except ImportError as error:
        raise EngineUnavailable(f"openvino cannot be imported ({error}); pip install openvino") from None
    from engines.openvino import spec_of
    from engines.openvino_tflite import read_network

    try:
        network = read_network(openvino, openvino.Core(), model)
    except Exception as error:  # RuntimeError and OpenVINO's own, over several lines
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EngineLoadError(f"openvino cannot read {model}: {lines[-1] if lines else type(error).__name__}") from None
    metadata: dict[str, str] = {}
    for section in ("framework", "model_info"):
        if network.has_rt_info(section):
            metadata |= {
                key: str(value.value if hasattr(value, "value") else value)
                for key, value in network.get_rt_info(section).value.items()
            }
    metadata |= _notes_beside(model)
    return ModelSignature(tuple(map(spec_of, network.inputs)), tuple(map(spec_of, network.outputs)), metadata)


def _notes_beside(model: Path) -> dict[str, str]:
    """What ultralytics' exporter notes about an OpenVINO IR: in `metadata.yaml` of its folder, not in the model."""
    import yaml

    try:
        notes = yaml.safe_load((model.parent / "metadata.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return {str(key): str(value) for key, value in notes.items()} if isinstance(notes, dict) else {}
