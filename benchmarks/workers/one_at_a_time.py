"""A server as they are today: vLLM's protocol, and a lock within which one session at a time computes.

python -m benchmarks.workers.one_at_a_time MODEL PORT
"""

import asyncio
import base64
import json
import sys

import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from voxrun.stream.results import Result
from voxrun.transcriber import Transcriber


class OneAtATime:
    """Holds the model and the lock."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber, self._lock = transcriber, asyncio.Lock()

    async def converse(self, socket: ServerConnection) -> None:
        """One client; each of its messages waits until it is heard."""
        await socket.send(json.dumps({"type": "session.created"}))
        async with self._lock:
            session = await asyncio.to_thread(self._transcriber.session, live=True)
        text = ""
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "input_audio_buffer.append":
                samples = np.frombuffer(base64.b64decode(event["audio"]), "<i2")
                async with self._lock:
                    result: Result = await asyncio.to_thread(session.feed, samples)
            elif event.get("final"):
                async with self._lock:
                    result = await asyncio.to_thread(session.finish)
            else:
                continue
            text += result.text
            await socket.send(json.dumps({"type": "transcription.delta", "delta": result.text}))
            if event.get("final"):
                await socket.send(json.dumps({"type": "transcription.done", "text": text.strip()}))


async def main() -> None:
    """Serve until a signal."""
    server = OneAtATime(Transcriber.load(sys.argv[1]))
    async with serve(server.converse, "127.0.0.1", int(sys.argv[2]), compression=None) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
