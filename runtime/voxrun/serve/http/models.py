"""The list of models: the one that is served, which answers to every name."""

from time import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from voxrun.serve.service import Service
from voxrun.stream.schedule import KNOWN_DELAYS


def routes(service: Service) -> list[BaseRoute]:
    """`/v1/models`, and each of them."""
    models = Models(service)
    return [
        Route("/v1/models", models.list),
        Route("/v1/models/{id:path}", models.retrieve),  # names have slashes
    ]


class Models:
    """OpenAI's objects for the model."""

    def __init__(self, service: Service) -> None:
        self._service, self._created = service, int(time())
        self._facts: dict[str, Any] | None = None

    async def list(self, request: Request) -> Response:
        """The one model, by its own name."""
        name = self._service.settings.name
        return JSONResponse({"object": "list", "data": [await self._model(name)]})

    async def retrieve(self, request: Request) -> Response:
        """The model by any name: clients ask for the one that they know, such as whisper-1."""
        id = request.path_params["id"]
        return JSONResponse(await self._model(id)) if id else await self.list(request)

    async def _model(self, id: str) -> dict[str, Any]:
        facts = self._facts = self._facts or await self._read()
        return {"id": id, "object": "model", "created": self._created, "owned_by": "voxrun", **facts}

    async def _read(self) -> dict[str, Any]:
        async with self._service.shelf.lent() as transcriber:
            position = 1000 / transcriber.model.config.audio.frame_rate
            return {
                "root": self._service.settings.name,
                "task": "automatic-speech-recognition",
                "sampling_rate": transcriber.rate,
                "default_delay_ms": self._service.settings.delay_ms or transcriber.tokenizer.default_delay_ms,
                "delays_ms": [n * position for n in KNOWN_DELAYS],
            }
