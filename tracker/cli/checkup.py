"""The checks of `tracker doctor`, in the order in which it prints them."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import engines
from engines.storage import cache_folder
from tracker.cli import findings as look
from tracker.cli.findings import Finding, asked, bringing, installed_version, is_there
from tracker.config import DetectSettings
from tracker.detect import find_card, zoo
from tracker.detect.card import file_of
from tracker.detect.ladder import ladder
from tracker.detect.sharing import cores
from tracker.errors import ModelError, RequirementError

CPU_EXTRAS = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx512_bf16": "AVX-512 bf16",
    "amx_bf16": "AMX bf16", "amx_int8": "AMX int8", "asimd": "NEON", "bf16": "bf16",
}  # fmt: skip
NO_DEVICE = 100
"""What cuInit says where the driver is there and finds no GPU."""
FOR_GPUS = ("tensorrt", "tensorrt-rtx", "torch")
"""Runtimes that are of no use for `tracker run` on a processor: others are faster there."""
ELSEWHERE = {"torch": "`tracker models export`", "tensorrt-rtx": "`tracker engine build --gpu sm89`"}
"""What those are of use for without a GPU."""
PROBES = {"openvino": look.OPENVINO, "onnxruntime": look.ONNXRUNTIME, "torch": look.TORCH}
RUNTIMES = tuple(engines.RUNTIMES)


def system() -> list[Finding]:
    """Python, processor, memory, cache folder."""
    bits = f"{platform.system()} {platform.machine()}, {' '.join(filter(None, platform.libc_ver()))}".rstrip(", ")
    return [
        Finding("system", "Python", "ok", f"{platform.python_version()}, {bits}", facts={"executable": sys.executable}),
        processor(),
        memory(),
        cache(),
    ]


def processor() -> Finding:
    """Its name, the cores that this process may use, and what speeds up networks."""
    fields: dict[str, str] = {}
    for line in _lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    able = [name for flag, name in CPU_EXTRAS.items() if flag in flags]
    name = fields.get("model name") or platform.processor() or platform.machine()
    count, total = cores(), os.cpu_count() or 1
    usable = f"{count} core{'s' if count > 1 else ''}" + (f" of {total}" if count != total else "")
    return Finding(
        "system", "processor", "ok", ", ".join([name, usable, *able]),
        facts={"name": name, "cores": count, "cores_total": total, "extensions": able},
    )  # fmt: skip


def memory() -> Finding:
    """Memory of the machine, or of the container where that is less."""
    known = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if "kB" in line}
    limit = "".join(_lines("/sys/fs/cgroup/memory.max")).strip()
    total = min(known.get("MemTotal", 0), int(limit) if limit.isdecimal() else sys.maxsize)
    if not total:
        return Finding("system", "memory", "ok", "not told by this system")
    free = min(known.get("MemAvailable", 0), total)
    facts = {"total_bytes": total, "available_bytes": free}
    return Finding("system", "memory", "ok", f"{total / 1e9:.1f} GB, {free / 1e9:.1f} GB free", facts=facts)


def cache() -> Finding:
    """The folder of models and plans: can something be written there, how much room is there."""
    remedy = "export TRACKER_CACHE=/a/folder/you/may/write"
    try:
        folder = cache_folder()
    except engines.EngineUnavailable as error:
        return Finding("system", "cache", "warning", str(error), remedy)
    # The nearest folder that is there: the cache itself is made when something is put into it.
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{folder}, {free / 1e9:.1f} GB free on its disk"
    facts = {"folder": str(folder), "free_bytes": free, "exists": there == folder}
    if not _writable(there):
        return Finding("system", "cache", "warning", f"{folder} cannot be written", remedy, facts)
    return Finding("system", "cache", "ok", text, facts=facts)


def _writable(folder: Path) -> bool:
    """Whether a file can be made there; tried, since permissions alone do not tell of read-only disks."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _lines(path: str) -> list[str]:
    """Lines of a file of the system; none where it is not there."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def nvidia(driver: dict[str, Any]) -> Finding:
    """The driver and its GPUs, from what cuInit said."""
    if "error" in driver:
        return Finding(
            "runtimes", "NVIDIA", "warning", f"the driver does not answer: {driver['error']}", "nvidia-smi", driver
        )
    if not driver["there"]:
        if not _nvidia_cards():
            return Finding("runtimes", "NVIDIA", "missing", "no GPU, no driver: models run on the processor")
        text = "a GPU and no driver in reach (in a container: start it with --gpus all)"
        remedy = "sudo ubuntu-drivers install" if shutil.which("ubuntu-drivers") else "install the NVIDIA driver"
        return Finding("runtimes", "NVIDIA", "warning", text, remedy, driver)
    devices = [f"{gpu['name']} ({gpu['capability']}, {gpu['memory_gb']} GB)" for gpu in driver["devices"]]
    if devices:
        return Finding(
            "runtimes", "NVIDIA", "ok", f"driver for CUDA {driver['cuda']}: {', '.join(devices)}", facts=driver
        )
    if driver["code"] in (0, NO_DEVICE):
        return Finding("runtimes", "NVIDIA", "missing", "a driver and no GPU that it may use", facts=driver)
    text = f"the driver is there and fails to start (cuInit says {driver['code']})"
    return Finding("runtimes", "NVIDIA", "warning", text, "nvidia-smi", driver)


def _nvidia_cards() -> bool:
    """Whether a display or compute card of NVIDIA's is on the bus, driver or not."""
    folders = Path("/sys/bus/pci/devices").glob("*")
    return any(
        _lines(f"{folder}/vendor")[:1] == ["0x10de"] and "".join(_lines(f"{folder}/class")).startswith("0x03")
        for folder in folders
    )


def runtime(name: str, has_gpu: bool) -> Finding:
    """One inference library: there or not, its version and devices."""
    module = engines.RUNTIMES[name].library
    for_gpus = name in FOR_GPUS
    if not is_there(module):
        useful = has_gpu or not for_gpus or name in ELSEWHERE
        needed = "; of use with an NVIDIA GPU" if for_gpus and not has_gpu else ""
        needed += f" and for {ELSEWHERE[name]}" if needed and name in ELSEWHERE else ""
        return Finding("runtimes", name, "missing", f"not installed{needed}", bringing(name, module) if useful else "")
    if engines.RUNTIMES[name].gpu and not has_gpu:
        text = f"{installed_version(module)}, not loaded: no NVIDIA GPU that answers"
        text += f"; of use for {ELSEWHERE[name]}" if name in ELSEWHERE else ""
        return Finding("runtimes", name, "unused", text.strip(", "), facts={"version": installed_version(module)})
    told = asked(PROBES.get(name, look.IMPORT.format(module=module)))
    if "error" in told:
        return Finding(
            "runtimes", name, "broken", f"installed, cannot be loaded: {told['error']}",
            f"pip install --force-reinstall {module}", told,
        )  # fmt: skip
    return Finding("runtimes", name, "ok", f"{told['version']}, {', '.join(told['devices'])}", facts=told)


def chosen(found: list[Finding]) -> Finding:
    """What `--runtime auto` takes for the embedded detector, and why: tried, where that takes seconds."""
    try:
        rungs = ladder(find_card(DetectSettings().model)[1])
    except ModelError as error:
        return Finding("runtimes", "auto", "broken", str(error), "pip install --force-reinstall tracker")
    usable = {finding.name for finding in found if finding.state == "ok"}
    rungs = [rung for rung in rungs if rung.runtime in usable]
    if not rungs:
        return Finding(
            "runtimes", "auto", "broken", "no runtime can be loaded: nothing can run", "pip install onnxruntime"
        )
    names = [rung.runtime for rung in rungs]
    order = " > ".join(f"{rung.runtime}{'' if rung.device == 'cpu' else f' ({rung.device})'}" for rung in rungs)
    if rungs[0].compiles:
        text = f"{names[0]}, the first of {order}; it compiles a model when that is first used"
        return Finding("runtimes", "auto", "ok", text, facts={"order": names})
    told = tried(None)
    if "error" in told:
        text = f"the embedded detector does not start: {told['error']}"
        return Finding("runtimes", "auto", "broken", text, facts=told)
    first = told["runtime"].split()[0] == names[0]
    why = f"the first of {order}" if first else "; ".join(told["notices"]) or f"not the first of {order}"
    text = f"{told['runtime']}, {told['precision']}, {told['device']}: {why}"
    return Finding("runtimes", "auto", "ok" if first else "warning", text, facts=told | {"order": names})


def tried(require: str | None) -> dict[str, Any]:
    """The embedded detector opened: runtime, precision, device, notices; or an error."""
    return asked(look.DETECTOR.format(require=require))


def require(name: str, found: list[Finding]) -> None:
    """Raise RequirementError, with a remedy, unless this runtime really runs here."""
    finding = next(item for item in found if item.name == name)
    text, remedy = finding.text, finding.remedy
    if finding.state == "ok":
        told = {} if engines.RUNTIMES[name].compiles else tried(name)
        if "error" not in told:
            return
        text, remedy = f"the embedded detector does not start with it: {told['error']}", ""
    usable = [item.name for item in found if item.state == "ok" and item.name in RUNTIMES]
    if not remedy and usable:
        remedy = f"use --require {usable[0]}, which runs here"
    raise RequirementError(f"runtime {name} is required, but: {text}" + (f"; {remedy}" if remedy else ""))


def video(has_gpu: bool) -> list[Finding]:
    """FFmpeg through PyAV, and OpenCV."""
    told = asked(look.VIDEO)
    if "error" in told:
        return [Finding("video", "PyAV", "broken", told["error"], "pip install --force-reinstall av", told), opencv()]
    soft = [name for name in told["encoders"] if "nvenc" not in name]
    parts = [f"{told['version']} (libavcodec {told['libavcodec']})", f"writes {', '.join(soft) or 'no H.264'}"]
    parts += [f"reads {', '.join(told['decoders'])}"]
    able = {"NVENC": len(soft) < len(told["encoders"]), "NVDEC": "cuda" in told["hardware"]}
    built = " and ".join(name for name in able if able[name])
    parts += [f"{built} built in{'' if has_gpu else ', without a GPU here'}" if built else "neither NVENC nor NVDEC"]
    good = "libx264" in told["encoders"]
    remedy = "" if good else "pip install --force-reinstall --only-binary av av"
    return [Finding("video", "PyAV", "ok" if good else "warning", "; ".join(parts), remedy, told), opencv()]


def opencv() -> Finding:
    """OpenCV, and whether several of its wheels are installed over each other."""
    wheels = look.opencv_wheels()
    told = asked(look.OPENCV) | {"wheels": wheels}
    headless = "pip install --force-reinstall --no-deps opencv-python-headless"
    if "error" in told:
        return Finding("video", "OpenCV", "broken", told["error"], headless, told)
    text = f"{told['version']}, {'with windows (--show)' if told['windows'] else 'headless, no windows (--show)'}"
    if len(wheels) > 1:
        text += f"; {' and '.join(wheels)} share one folder, the last one installed wins"
        if len(set(wheels.values())) > 1:
            return Finding("video", "OpenCV", "warning", text, headless, told)
    return Finding("video", "OpenCV", "ok", text, facts=told)


def tracking() -> list[Finding]:
    """The association's compiled kernels, and TrackEval."""
    if not is_there("numba"):
        text = "not installed; the association runs on NumPy, more slowly"
        numba = Finding("tracking", "numba", "missing", text, bringing("fast", "numba"))
    else:
        told = asked(look.NUMBA)
        works = told.get("backend") == "numba"
        why = told.get("error") or told.get("reason", "")
        text = f"{installed_version('numba')}, " + ("association compiled" if works else f"not in use: {why}")
        numba = Finding("tracking", "numba", "ok" if works else "warning", text, facts=told)
    return [numba, library("tracking", "TrackEval", "trackeval", "eval")]


def library(area: str, name: str, module: str, extra: str, needed_by: str = "") -> Finding:
    """An optional library that one command needs: that of the extra's name, unless told otherwise."""
    use = f"`tracker {needed_by or extra}`"
    if is_there(module):
        return Finding(area, name, "ok", f"{installed_version(module)}, for {use}")
    return Finding(area, name, "missing", f"not installed; {use} needs it", bringing(extra, module))


def models() -> list[Finding]:
    """The embedded detector, checked by its SHA-256, and what was fetched."""
    name = DetectSettings().model
    try:
        card, path = find_card(name)
    except ModelError as error:
        return [Finding("models", name, "broken", str(error), "pip install --force-reinstall tracker")]
    assert card is not None
    facts = {"file": str(path), "sha256": card.sha256}
    text = f"embedded, {path.stat().st_size / 1e6:.1f} MB, SHA-256 {card.sha256[:12]}... verified"
    cards = [card for card in zoo().values() if card.url or (card.checkpoint and card.checkpoint.url)]
    here = [card.name for card in cards if file_of(card).exists()]
    fetched = f"{', '.join(here) or 'none'} of {len(cards)} (tracker models list)"
    return [
        Finding("models", name, "ok", text, facts=facts),
        Finding("models", "fetched", "ok", fetched, facts={"models": here}),
    ]
