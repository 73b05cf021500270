"""voxrun: transcribes files and the microphone with MLX weights of Voxtral-Mini-4B-Realtime."""

__version__ = "0.1.0"
