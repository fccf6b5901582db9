"""A kitchen on APIPod as a Runpod worker: `python apipod_runpod_app.py`."""

import os

os.environ.update(APIPOD_COMPUTE="serverless", APIPOD_PROVIDER="runpod")

from apipod import APIPod
from kitchen import cook

if __name__ == "__main__":
    app = APIPod()
    cook(app, app.endpoint)
    app.start()
