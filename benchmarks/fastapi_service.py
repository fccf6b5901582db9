"""The plain endpoints of service.py in bare FastAPI, on a port which it says."""

from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI

app = FastAPI()


@app.get("/plain")
def plain(a: int, b: int = 1) -> int:
    return a + b


@app.post("/plain")
def plain_posted(a: Annotated[int, Body()], b: Annotated[int, Body()] = 1) -> int:
    return a + b


@app.get("/aplain")
async def aplain(a: int, b: int = 1) -> int:
    return a + b


@app.post("/aplain")
async def aplain_posted(a: Annotated[int, Body()], b: Annotated[int, Body()] = 1) -> int:
    return a + b


class Server(uvicorn.Server):
    """uvicorn as farcall-server configures it, saying where it serves."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()
        print(f"FastAPI serves at http://{host}:{port} ", flush=True)


if __name__ == "__main__":
    Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False)).run()
