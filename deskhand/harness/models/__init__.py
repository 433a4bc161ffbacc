"""What a loop needs of a model vendor: adapters, and the history as it is sent."""

from deskhand.harness.models.adapter import Delta, Json, ModelAdapter, Stop, Turn, TurnDecoder
from deskhand.harness.models.layout import ImageForm, Item, Layout
from deskhand.harness.models.planner import Pruned
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transcript import Request, Transcript, encode_json

__all__ = [
    "Delta",
    "ImageForm",
    "Item",
    "Json",
    "Layout",
    "ModelAdapter",
    "Pruned",
    "Request",
    "Stop",
    "Toolbox",
    "Transcript",
    "Turn",
    "TurnDecoder",
    "encode_json",
]
