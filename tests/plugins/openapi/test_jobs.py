"""Jobs over plain OpenAPI, on sockets: named by headers, by the document's routes, or by the binding."""

import itertools

import farcall
import pytest
from farcall.errors import CancelUnsupported, ConfigError, JobCancelled, JobFailed, JobLost, ProtocolError
from farcall.jobs import State
from farcall_openapi import states
from farcall_openapi.states import WORDS
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel


class Looks:
    """The replies to the looks at a job, one after the other; the last one stays."""

    def __init__(self, *replies):
        self._replies = itertools.chain(replies, itertools.repeat(replies[-1]))
        self.seen = 0

    def __call__(self):
        self.seen += 1
        return next(self._replies)


def reply(status=200, body=None, **headers):
    return lambda: JSONResponse(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def job_app(submitted, looks, **routes):
    """`POST /work` answers with `submitted`; `GET /where/7` with the looks in turn."""
    app = FastAPI()
    app.requests = []

    @app.post("/work", status_code=202)
    def work(request: Request):
        app.requests.append(request)
        return submitted()

    def look():
        return looks()()

    app.add_api_route("/where/7", look, include_in_schema=False)
    for path, answer in routes.items():
        app.add_api_route(f"/{path}", answer, include_in_schema=False, methods=["GET", "PUT"])
    return app


def connected(serve, app, **options):
    return farcall.connect(serve(app).url, provider="openapi", **options)


# --- headers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["location", "operation_location", "azure_asyncoperation"])
def test_a_202_that_names_an_address_is_a_job_that_is_looked_at_there(serve, header):
    looks = Looks(reply(202), reply(200, {"status": "Running"}), reply(200, {"status": "Succeeded", "result": 42}))
    with connected(serve, job_app(reply(202, **{header: "/where/7"}), looks)) as svc:
        job = svc.work.submit()
        assert job.result(10) == 42
        assert (job.id, looks.seen) == ("7", 3)
        assert [snapshot.state for snapshot in job.events()][-1] is State.SUCCEEDED


def test_a_plain_call_waits_for_the_job(serve):
    with connected(serve, job_app(reply(202, location="/where/7"), Looks(reply(202), reply(200, [1, 2])))) as svc:
        assert svc.work() == [1, 2]


def test_the_service_is_asked_to_make_a_job_of_a_call_only_where_it_says_it_can(serve):
    app = job_app(reply(202, location="/where/7"), Looks(reply(200, 1)))
    app.add_api_route("/plain", lambda request: request.headers.get("prefer"))
    with connected(serve, app) as svc:
        svc.work.submit().result(10)
        svc.work()
    assert [request.headers["prefer"] for request in app.requests] == ["respond-async", "respond-async, wait=2"]


def test_azures_two_addresses_give_state_and_result(serve):
    submitted = reply(202, operation_location="/where/7", location="/made/7", retry_after="0")
    looks = Looks(
        reply(200, {"status": "InProgress", "percentComplete": 40}, retry_after="0"),
        reply(200, {"id": "7", "status": "Succeeded"}),
    )
    app = job_app(submitted, looks, **{"made/7": lambda: {"name": "vm", "properties": {"size": 3}}})
    with connected(serve, app) as svc:
        job = svc.work.submit()
        progress = [snapshot.progress for snapshot in job.events()]
        assert job.result(10) == {"name": "vm", "properties": {"size": 3}}
    assert 0.4 in progress


def test_a_look_that_is_sent_on_to_the_result_gives_the_result(serve):
    looks = Looks(reply(202), lambda: RedirectResponse("/made/7", 303))
    app = job_app(reply(202, location="/where/7"), looks, **{"made/7": lambda: {"status": "shipped"}})
    with connected(serve, app) as svc:
        assert svc.work.submit().result(10) == {"status": "shipped"}


def test_a_result_that_is_no_json_is_text_or_a_file(serve):
    looks = Looks(reply(202), lambda: PlainTextResponse("done"))
    with connected(serve, job_app(reply(202, location="/where/7"), looks)) as svc:
        assert svc.work.submit().result(10) == "done"


def test_a_failed_job_raises_with_the_services_words(serve):
    looks = Looks(reply(200, {"status": "Failed", "error": {"code": "Quota", "message": "no cores left"}}))
    with (
        connected(serve, job_app(reply(202, location="/where/7"), looks)) as svc,
        pytest.raises(JobFailed, match="no cores left"),
    ):
        svc.work.submit().result(10)


def test_an_unknown_word_is_a_protocol_error_that_says_what_to_write(serve):
    looks = Looks(reply(200, {"status": "simmering"}))
    with (
        connected(serve, job_app(reply(202, location="/where/7"), looks)) as svc,
        pytest.raises(ProtocolError, match=r"'simmering', which is in no table.*job="),
    ):
        svc.work.submit().result(10)


@pytest.mark.parametrize("status", [404, 410])
def test_a_job_that_is_gone_is_lost(serve, status):
    with (
        connected(serve, job_app(reply(202, location="/where/7"), Looks(reply(status)))) as svc,
        pytest.raises(JobLost),
    ):
        svc.work.submit().result(10)


def test_a_job_at_another_service_is_not_asked_for(serve):
    other = job_app(reply(), Looks(reply(200, 1)))
    url = serve(other).url
    with (
        connected(serve, job_app(reply(202, location=f"{url}/work"), Looks(reply()))) as svc,
        pytest.raises(ProtocolError, match="another service; nothing was sent there"),
    ):
        svc.work.submit().result(10)
    assert other.requests == []


def test_a_reference_made_up_by_a_stranger_leads_to_no_other_service(serve):
    looks = Looks(reply(202))
    with connected(serve, job_app(reply(202, location="/where/7"), looks)) as svc:
        ref = svc.work.submit().ref().replace("/where/7", "@evil.test/where/7")
        with pytest.raises(ProtocolError, match=r"evil\.test, which is another service"):
            svc.attach(ref).result(10)


def test_a_job_is_taken_up_again_by_its_reference(serve):
    looks = Looks(reply(200, {"status": "done", "output": "x"}))
    url = serve(job_app(reply(202, location="/where/7"), looks)).url
    with farcall.connect(url) as svc:
        ref = svc.work.options(follow=False).submit().ref()
    with farcall.connect(url) as svc:
        assert svc.attach(ref).result(10) == "x"


def test_a_job_named_by_a_header_alone_cannot_be_cancelled(serve):
    with (
        connected(serve, job_app(reply(202, location="/where/7"), Looks(reply(202)))) as svc,
        pytest.raises(CancelUnsupported),
    ):
        svc.work.submit().cancel(10)


def test_a_202_to_a_get_that_says_only_when_is_asked_again_where_it_was_asked(serve):
    app = FastAPI()
    turns = iter([reply(202, retry_after="0"), reply(202, {"status": "running"}), reply(200, {"status": "shipped"})])
    asked = []

    @app.get("/report", responses={202: {}})
    def report(year: int, request: Request):
        asked.append(str(request.query_params))
        return next(turns)()

    with connected(serve, app) as svc:
        job = svc.report.submit(year=7)
        assert job.result(10) == {"status": "shipped"}
        assert job.id == "report"
    assert asked == ["year=7"] * 3


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_azures_resource_that_is_being_made_is_followed_at_its_own_address(serve, method):
    app = FastAPI()
    states = iter(["Updating", "Succeeded"])

    @app.api_route("/vm/{name}", methods=[method], operation_id="make", status_code=202)
    def make(name: str):
        return JSONResponse({"properties": {"provisioningState": "Creating"}}, 202, {"retry-after": "0"})

    @app.get("/vm/{name}")
    def look(name: str):
        return {"name": name, "properties": {"provisioningState": next(states)}}

    with connected(serve, app) as svc:
        made = svc.make.submit(name="a").result(10)
        assert made == {"name": "a", "properties": {"provisioningState": "Succeeded"}}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_202_that_says_when_but_not_where_is_an_error_that_says_what_to_write(serve, method):
    app = FastAPI()

    @app.api_route("/work", methods=[method], operation_id="work", status_code=202)
    def work():
        return JSONResponse({"queued": True}, 202, {"retry-after": "1"})

    with connected(serve, app) as svc, pytest.raises(ProtocolError, match=r"but not where.*status_path") as caught:
        svc.work()
    assert caught.value.response.json() == {"queued": True}


def test_a_202_that_names_nothing_is_its_own_result(serve):
    with connected(serve, job_app(reply(202, {"queued": True}), Looks(reply()))) as svc:
        assert svc.work() == {"queued": True}


# --- routes in the document --------------------------------------------------------------------------------------


class Order(BaseModel):
    dish: str


def test_a_202_with_an_id_and_a_route_for_it_in_the_document_is_a_job(serve):
    app = FastAPI()

    @app.post("/orders", status_code=202)
    def order(what: Order):
        made = {"id": "a/b", "status": "accepted"}
        return JSONResponse(made, 200) if what.dish == "ready" else made

    @app.get("/orders/{number:path}")
    def look(number: str):
        return {"id": number, "status": "completed", "result": number}

    document = app.openapi()
    document["paths"]["/orders/{number}"] = document["paths"].pop("/orders/{number}", None) or document["paths"].pop(
        "/orders/{number:path}"
    )
    with farcall.connect(document, provider="openapi", url=serve(app).url) as svc:
        assert svc.order.submit(dish="fries").result(10) == "a/b"
        assert svc.order(dish="ready") == {"id": "a/b", "status": "accepted"}


def task_app(states):
    """Routes as BentoML's tasks have them."""
    app = FastAPI()
    app.cancelled = False

    @app.post("/fry/submit")
    def submit(order: Order):
        return {"task_id": "t1", "status": "in_progress"}

    @app.get("/fry/status")
    def status(task_id: str):
        word = "cancelled" if app.cancelled else next(states)
        return {"task_id": task_id, "status": word, "created_at": "now", "executed_at": None}

    @app.get("/fry/get")
    def get(task_id: str):
        return JSONResponse({"error": "the oil was cold"}, 500) if app.fails else f"fries of {task_id}"

    @app.put("/fry/cancel")
    def cancel(task_id: str):
        app.cancelled = True
        return {"task_id": task_id, "status": "cancelled"}

    app.fails = False
    return app


def test_bentomls_task_routes_are_a_job_under_the_tasks_own_name(serve):
    app = task_app(itertools.chain(["in_progress"] * 2, itertools.repeat("success")))
    with connected(serve, app) as svc:
        job = svc.fry.submit(dish="fries")
        assert (job.result(10), job.id) == ("fries of t1", "t1")


def test_a_task_that_failed_says_why(serve):
    app = task_app(itertools.chain(["in_progress"], itertools.repeat("failure")))
    app.fails = True
    with connected(serve, app) as svc, pytest.raises(JobFailed, match="the oil was cold"):
        svc.fry(dish="fries")


def test_a_task_can_be_cancelled(serve):
    with connected(serve, task_app(itertools.repeat("in_progress"))) as svc:
        job = svc.fry.submit(dish="fries")
        assert job.cancel(10).state is State.CANCELLED
        with pytest.raises(JobCancelled):
            job.result(10)


# --- said by the binding -----------------------------------------------------------------------------------------

COOK = {
    "status_path": "/kitchen/{id}/look",
    "id_field": "data.ticket",
    "state_field": "data.now",
    "states": {"simmering": "running", "on the table": "succeeded", "burnt": "failed", "sent back": "cancelled"},
    "result_field": "data.dish",
    "error_field": "data.why",
    "progress_field": "data.percent",
    "progress_max": 100,
    "cancel_path": "/kitchen/{id}",
    "cancel_method": "DELETE",
}


def kitchen(*looks):
    app = FastAPI()
    turns = itertools.chain(looks, itertools.repeat(looks[-1]))
    app.back = False

    @app.post("/cook")
    def cook(order: Order):
        return {"data": {"ticket": 12}} if order.dish != "water" else {"dish": "water"}

    @app.get("/kitchen/{ticket}/look", include_in_schema=False)
    def look(ticket: int):
        return {"data": {"now": "sent back"} if app.back else next(turns)}

    @app.delete("/kitchen/{ticket}", include_in_schema=False)
    def back(ticket: int):
        app.back = True

    return app


def test_a_home_grown_job_api_needs_no_plugin(serve):
    app = kitchen({"now": "simmering", "percent": 50}, {"now": "on the table", "dish": "soup"})
    with connected(serve, app, job=COOK) as svc:
        job = svc.cook.submit(dish="soup")
        assert 0.5 in [snapshot.progress for snapshot in job.events()]
        assert (job.result(10), job.id) == ("soup", "12")
        assert svc.cook(dish="water") == {"dish": "water"}


def test_its_failure_and_its_cancelling_are_as_the_binding_says(serve):
    with (
        connected(serve, kitchen({"now": "burnt", "why": "too hot"}), job=COOK) as svc,
        pytest.raises(JobFailed, match="too hot"),
    ):
        svc.cook(dish="soup")
    with connected(serve, kitchen({"now": "simmering"}), job=COOK) as svc:
        job = svc.cook.submit(dish="soup")
        job.cancel(10)
        with pytest.raises(JobCancelled):
            job.result(10)


def test_a_look_that_is_a_post_is_said_by_the_binding(serve):
    app = FastAPI()

    @app.post("/cook")
    def cook(order: Order):
        return {"id": "12", "status": "queued"}

    @app.post("/status", include_in_schema=False)
    def look(job_id: str):
        return {"id": job_id, "status": "done", "result": "soup"}

    said = {"status_path": "/status?job_id={id}", "status_method": "post"}
    with connected(serve, app, job=said) as svc:
        assert svc.cook(dish="soup") == "soup"


def test_an_endpoint_that_is_named_must_answer_with_an_id(serve):
    with (
        connected(serve, kitchen({"now": "burnt"}), job={**COOK, "endpoints": ["cook"]}) as svc,
        pytest.raises(ProtocolError, match=r"no 'data\.ticket'"),
    ):
        svc.cook(dish="water")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"status_path": "/jobs"}, "with {id} in it"),
        ({"status_path": "http://evil.test/{id}"}, "no path below"),
        ({**COOK, "states": {"a": "b"}}, "states"),
        ({**COOK, "status_method": "GET /"}, "no HTTP method"),
        ({**COOK, "statefield": "x"}, "statefield"),
    ],
)
def test_a_job_option_that_cannot_work_is_refused_at_connect(wrong, why):
    with pytest.raises(ConfigError, match=why):
        farcall.connect({"openapi": "3.1.0", "paths": {}}, provider="openapi", url="http://h.test", job=wrong)


@pytest.mark.parametrize("word", [*WORDS, "IN PROGRESS", "Timed-Out"])
def test_every_known_word_has_one_meaning_however_it_is_spelt(word):
    assert states.state_of(word, {}) is states.state_of(word.upper(), {}) is states.known(word)


@pytest.mark.parametrize("word", ["ok", "ready", "", "shipped", 7, None, ["done"], {"done": True}])
def test_a_word_that_no_table_holds_is_never_taken_for_a_state(word):
    with pytest.raises(ProtocolError, match="in no table"):
        states.state_of(word, {})


def test_the_bindings_own_words_win():
    assert states.state_of("done", {"done": State.FAILED}) is State.FAILED
