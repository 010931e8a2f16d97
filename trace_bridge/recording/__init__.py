"""What a plugin uses to show a framework's run as a graph: recorder, calls and slots."""

from trace_bridge.recording.functions import cloned_function, refer, references
from trace_bridge.recording.linker import link
from trace_bridge.recording.nesting import StandIn, in_place_of
from trace_bridge.recording.recorder import Call, Recorder, current_call, note_read
from trace_bridge.recording.seams import SeamPlace, seams_installed, subclasses
from trace_bridge.recording.slot import Slot

__all__ = [
    "Call", "Recorder", "SeamPlace", "Slot", "StandIn", "cloned_function", "current_call",
    "in_place_of", "link", "note_read", "refer", "references", "seams_installed", "subclasses",
]  # fmt: skip
