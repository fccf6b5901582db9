"""A kitchen on FastTaskAPI: `python fast_task_api_app.py PORT`.

Its documented factory raises TypeError for this backend in 1.3.3, so the router is made directly.
"""

import sys

from fast_task_api.core.routers._fastapi_router import SocaityFastAPIRouter
from kitchen import cook

if __name__ == "__main__":
    app = SocaityFastAPIRouter()
    cook(app, app.task_endpoint)
    app.start(port=int(sys.argv[1]), host="127.0.0.1")
