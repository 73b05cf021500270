"""The errors that voxrun raises on purpose: each message is one sentence with what is wrong and where."""

from .messages import sentence


class VoxrunError(Exception):
    """Base of all errors that a user of voxrun can act on."""

    def __str__(self) -> str:
        """The message as one printable line, even where it quotes an untrusted file."""
        return sentence(super().__str__())


class AudioError(VoxrunError):
    """A recording cannot be read, decoded or transcribed."""


class ConfigError(VoxrunError):
    """config.json, params.json or tekken.json is incomplete, or describes another architecture."""


class DeviceError(VoxrunError):
    """There is no microphone, or no PortAudio to read it."""


class ModelError(VoxrunError):
    """A model's folder or repository cannot be found or downloaded."""


class OutputError(VoxrunError):
    """Transcripts cannot be written to the requested place."""


class TrustError(VoxrunError):
    """The artifact does not match its manifest, signature, provenance or lock file."""


class WeightsError(VoxrunError):
    """Tensors are missing, unexpected or misshapen, or a weight file is damaged."""
