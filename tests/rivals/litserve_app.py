"""A squaring model on LitServe: `python litserve_app.py PORT`."""

import sys

import litserve
from fastapi import HTTPException
from pydantic import BaseModel


class Asked(BaseModel):
    number: float
    label: str = "square"


class Squares(litserve.LitAPI):
    def setup(self, device):
        self.power = 2

    def decode_request(self, request: Asked):
        return request

    def predict(self, asked):
        if asked.number == 13:
            raise HTTPException(404, "There is no 13.")
        if asked.number < 0:
            raise RuntimeError("kaput")
        return {"label": asked.label, "number": asked.number**self.power}

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Squares(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
