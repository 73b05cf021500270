"""What voxrun raises on purpose: one sentence each, saying what is wrong, where, and what to do.

VoxrunError
├── AudioError    a recording that cannot be read, decoded or used
├── ConfigError   a config.json or params.json that does not describe this architecture
├── DeviceError   no microphone, no PortAudio
├── ModelError    a model that cannot be found or fetched
├── OutputError   a place that transcripts cannot be written to
├── TrustError    an artifact that is not what its manifest, signature, provenance or pin say
└── WeightsError  tensors missing, unexpected or misshapen
"""

from .messages import sentence


class VoxrunError(Exception):
    """Base of every error a user of voxrun can act on."""

    def __str__(self) -> str:
        """One line for a terminal, whatever name or value of somebody else's file is quoted in it."""
        return sentence(super().__str__())


class AudioError(VoxrunError):
    """A recording cannot be read, decoded or used."""


class ConfigError(VoxrunError):
    """The model's configuration is incomplete or describes another architecture."""


class DeviceError(VoxrunError):
    """There is no microphone, or nothing to read it with."""


class ModelError(VoxrunError):
    """A model folder or repository cannot be found or fetched."""


class OutputError(VoxrunError):
    """Transcripts cannot be written where they were asked for."""


class TrustError(VoxrunError):
    """The artifact is not what its manifest, signature, provenance or pin say."""


class WeightsError(VoxrunError):
    """The tensors on disk are not those that the configuration asks for."""
