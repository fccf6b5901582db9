"""The rivals, and how each starts."""

from rivals.servers import Rival


def _flask(name, ready):
    return Rival(name, ("-m", "gunicorn", "--threads", "4", "-b", "127.0.0.1:{port}", f"{name}_app:app"), ready)


def _script(name, ready, *more):
    return Rival(name, (f"{name}_app.py", "{port}", *more), ready)


FASTAPI = Rival(
    "fastapi",
    ("-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "fastapi_app:app"),
    "/openapi.json",
    ours=True,
)
FLASK_SMOREST = _flask("flask_smorest", "/openapi.json")
APIFLASK = _flask("apiflask", "/openapi.json")
FLASK_OPENAPI3 = _flask("flask_openapi3", "/openapi/openapi.json")
FLASK_RESTX = _flask("flask_restx", "/swagger.json")
LITSERVE = _script("litserve", "/health")
BENTOML = Rival(
    "bentoml",
    ("-m", "bentoml", "serve", "bentoml_app:Press", "--host", "127.0.0.1", "--port", "{port}"),
    "/readyz",
)
APIPOD = _script("apipod", "/openapi.json", "serverless")
APIPOD_DEDICATED = _script("apipod", "/openapi.json", "dedicated")
FAST_TASK_API = _script("fast_task_api", "/openapi.json")
OURS = Rival("our", ("our_app.py", "{port}"), "/health", ours=True)
OURS_WITH_A_KEY = Rival("our", ("our_app.py", "{port}", "the key"), "/health", ours=True)
