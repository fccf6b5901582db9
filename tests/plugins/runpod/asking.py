"""Short ways to ask the provider's hooks in these tests."""

import json

from farcall.binding import Binding
from farcall.connecting import check_options
from farcall.hookspecs import Call
from farcall.jobs import JobRef, Step
from farcall.provider import provider
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Response

URL = "https://api.runpod.ai/v2/abc123"


def runpod():
    return provider("runpod")


def bound(traits=(), **options):
    named = Binding(provider="runpod", **(options or {"endpoint_id": "abc123"}))
    checked = named.described(options=check_options(runpod(), named.options))
    return checked.described(service=ServiceSpec(traits=dict(traits)))


def submit(arguments=(), /, *, path="/run", traits=(), binding=None, call=(), **spec):
    endpoint = EndpointSpec(path=path, **{"open": path == "/run", **spec})
    options = runpod().call_options()(**dict(call))
    made = Call(endpoint=endpoint, arguments=dict(arguments), options=options, token="0" * 32)
    return runpod().submit(binding or bound(traits), made)


def sent(*args, **kwargs):
    return json.loads(submit(*args, **kwargs).body)


def reply(value, *, status=200):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Response(status=status, headers={"content-type": "application/json"}, content=content, url=f"{URL}/status/1")


def job(job_id="1", **data):
    return JobRef(provider="runpod", url=URL, endpoint="run", id=job_id, data=data)


def read(value, step=Step.POLL, *, status=200, jobs=None, binding=None, endpoint=None):
    asked = [] if step is Step.SUBMIT else [job()] if jobs is None else jobs
    return list(runpod().read(binding or bound(), reply(value, status=status), step, asked, endpoint))


def look(output=None, status="COMPLETED", **fields):
    (seen,) = read({"id": "1", "status": status, **({} if output is None else {"output": output}), **fields})
    return seen
