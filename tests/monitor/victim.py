"""Records cameras and stores events until somebody kills it. Prints each event once it is acknowledged."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.monitor.saving import event
from tests.write.scenes import gray_frame
from tracker.monitor.output_settings import OutputSettings
from tracker.monitor.outputs import Outputs
from tracker.monitor.stored import StoredEvent
from tracker.structures import Tracks

RATE = 50.0


def tell(events: Sequence[StoredEvent]) -> None:
    """Acknowledge."""
    for each in events:
        print(each.id, int(each.entry.event.value), flush=True)


def main(folder: Path, settings: str) -> None:
    """Two cameras, an event every third frame of each."""
    outputs = Outputs(OutputSettings.model_validate_json(settings), folder, lambda *args, **more: None)
    outputs.listen(tell)
    found = outputs.restore("gate")
    total = int(found[0]["total"]) if found else 0
    print("ready", total, flush=True)
    for index in range(10**6):
        for camera in ("gate", "yard"):
            events = [event(index / RATE, value=float(total))] if index % 3 == 0 and camera == "gate" else []
            total += len(events)
            frame = gray_frame(index, index / RATE)
            if events:
                outputs.save("gate", {"total": total})
            outputs.on_frame(camera, frame, Tracks.empty(), events, time.time())
        time.sleep(1 / RATE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
