"""A kitchen on FastTaskAPI as a Runpod worker: `python fast_task_api_runpod_app.py`."""

from fast_task_api.core.routers._runpod_router import SocaityRunpodRouter
from kitchen import cook

if __name__ == "__main__":
    app = SocaityRunpodRouter()
    cook(app, app.task_endpoint)
    app.start(deployment="serverless")
