"""Every knob, how it is read and how it is kept: written to the experiment folder, carried inside the checkpoint."""

from audioroto.config.load import change_config, find_changes, iter_settings, load_config, parse_config, save_config
from audioroto.config.sections import (
    Augment,
    Decoder,
    Encoder,
    Features,
    Loss,
    Position,
    Rotation,
    Search,
    Text,
    Train,
    Unspoken,
)
from audioroto.config.whole import Config

__all__ = [
    "Augment",
    "Config",
    "Decoder",
    "Encoder",
    "Features",
    "Loss",
    "Position",
    "Rotation",
    "Search",
    "Text",
    "Train",
    "Unspoken",
    "change_config",
    "find_changes",
    "iter_settings",
    "load_config",
    "parse_config",
    "save_config",
]
