"""Short ways to ask the provider's hooks in these tests."""

import json

from farcall.binding import Binding
from farcall.hookspecs import Call
from farcall.jobs import JobRef, Step
from farcall.provider import provider
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Response

URL = "http://gpu.lan:8000"
FARCALL = {"dialect": "farcall"}
APIPOD = {"dialect": "apipod", "compute": "serverless"}
DEDICATED = {"dialect": "apipod", "compute": "dedicated"}
FASTTASKAPI = {"dialect": "fasttaskapi"}
UNKNOWN = {}


def fta():
    return provider("fasttaskapi")


def bound(traits=UNKNOWN, *, url=URL, endpoints=()):
    binding = Binding(provider="fasttaskapi", endpoints=endpoints, url=url)
    options = fta().options()(url=url)
    return binding.described(
        options=options, service=ServiceSpec(endpoints=binding.endpoints, traits=traits) if traits else None
    )


TOKEN = "0" * 32


def submit(traits, arguments=(), /, *, path="/do-it", wait_s=None, url=URL, key=None, **spec):
    endpoint = EndpointSpec(path=path, **spec)
    call = Call(endpoint=endpoint, arguments=dict(arguments), token=TOKEN, wait_s=wait_s, idempotency_key=key)
    return fta().submit(bound(traits, url=url), call)


def reply(value, *, status=200, url=f"{URL}/do-it", headers=(), media_type="application/json"):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Response(status=status, headers={"content-type": media_type, **dict(headers)}, content=content, url=url)


def job(job_id="j1", **data):
    return JobRef(provider="fasttaskapi", url=URL, endpoint="do_it", id=job_id, data=data)


def read(answer, step=Step.POLL, traits=UNKNOWN, *, jobs=None, endpoints=()):
    asked = [] if step is Step.SUBMIT else [job()] if jobs is None else jobs
    endpoint = endpoints[0] if endpoints else None
    return list(fta().read(bound(traits, endpoints=endpoints), answer, step, asked, endpoint))
