"""A kitchen on APIPod: `python apipod_app.py PORT serverless|dedicated`."""

import sys

from apipod import APIPod
from kitchen import cook

if __name__ == "__main__":
    app = APIPod(simulate="serverless") if sys.argv[2] == "serverless" else APIPod()
    cook(app, app.endpoint)
    app.start(port=int(sys.argv[1]), host="127.0.0.1")
