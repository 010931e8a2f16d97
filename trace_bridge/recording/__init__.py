"""What a plugin uses to show a framework's run as a graph: recorder, calls and slots."""

from trace_bridge.recording.linker import link
from trace_bridge.recording.recorder import Call, Recorder, current_call, note_read
from trace_bridge.recording.seams import SeamPlace, seams_installed, subclasses
from trace_bridge.recording.slot import Slot

__all__ = [
    "Call", "Recorder", "SeamPlace", "Slot", "current_call", "link", "note_read",
    "seams_installed", "subclasses",
]  # fmt: skip
