"""Answers recorded from real servers on 127.0.0.1, 2026-11-23: fast_task_api 1.3.3 and apipod 1.0.33."""

FT_ID = "db3ea80e-7fea-460f-aa3e-acba8513a70a"
FT_TIMES = {
    "created_at": "2026-11-23T03:07:44.867230",
    "queued_at": "2026-11-23T03:07:44.867257",
    "execution_started_at": None,
    "execution_finished_at": None,
}
FT_QUEUED = {
    "id": FT_ID,
    "status": "Queued",
    "progress": {"progress": 0.0, "message": None},
    "error": None,
    "result": None,
    "refresh_job_url": f"/status?job_id={FT_ID}",
    "cancel_job_url": None,
    **FT_TIMES,
    "endpoint_protocol": "socaity",
}
FT_RUNNING = {
    **FT_QUEUED,
    "status": "Processing",
    "progress": {"progress": 0.4, "message": "step 4"},
    "cancel_job_url": f"/cancel?job_id={FT_ID}",
    "execution_started_at": "2026-11-23T03:07:44.904992",
}
FT_FILE = {
    "id": "03218136-303e-4808-9e35-4d7be6db613d",
    "status": "Finished",
    "progress": {"progress": 1.0, "message": None},
    "error": None,
    "result": {
        "file_name": "out.bin",
        "content_type": "image/png",
        "content": "iVBORw0KGgoAAAANSUhEUgAAAAE=",
        "max_size_mb": 4000.0,
    },
    "refresh_job_url": "/status?job_id=03218136-303e-4808-9e35-4d7be6db613d",
    "cancel_job_url": "/cancel?job_id=03218136-303e-4808-9e35-4d7be6db613d",
    "created_at": "2026-11-23T03:08:47.872123",
    "queued_at": "2026-11-23T03:08:47.872145",
    "execution_started_at": "2026-11-23T03:08:47.904992",
    "execution_finished_at": "2026-11-23T03:08:47.905766",
    "endpoint_protocol": "socaity",
}
FT_FAILED = {
    **FT_RUNNING,
    "status": "Failed",
    "progress": {"progress": 1.0, "message": "kaput 3"},
    "error": "kaput 3",
}
FT_MISSING = {
    "id": "nope",
    "status": "Failed",
    "progress": None,
    "error": "Job not found.",
    "result": None,
    "refresh_job_url": None,
    "cancel_job_url": None,
    "created_at": None,
    "queued_at": None,
    "execution_started_at": None,
    "execution_finished_at": None,
    "endpoint_protocol": "socaity",
}
FT_FULL = {
    **FT_QUEUED,
    "status": "Failed",
    "progress": {"progress": 1.0, "message": "Queue size limit reached for slow"},
    "error": "Queue size limit reached for slow",
    "queued_at": None,
}

AP_ID = "3b420f55-c70f-40f1-82ff-701d11e471cf"
AP_LINKS = {"status": f"/status/{AP_ID}", "cancel": f"/cancel/{AP_ID}"}
AP_QUEUED = {
    "job_id": AP_ID,
    "status": "queued",
    "progress": 0.0,
    "metrics": {"created_at": "2026-11-23T03:13:26.575203Z", "queued_at": "2026-11-23T03:13:26.575227Z"},
    "links": AP_LINKS,
}
AP_RUNNING = {**AP_QUEUED, "status": "processing", "progress": 0.4, "message": "step 4"}
AP_FINISHED = {
    "job_id": "a677ff2b-a5f5-4678-93bb-5d98f62e8c94",
    "status": "finished",
    "result": "done",
    "progress": 1.0,
    "message": "step 9",
    "metrics": {
        "created_at": "2026-11-23T03:13:27.087859Z",
        "queued_at": "2026-11-23T03:13:27.087890Z",
        "started_at": "2026-11-23T03:13:27.177633Z",
        "finished_at": "2026-11-23T03:13:28.680624Z",
        "execution_time_s": 1.5,
    },
    "links": {
        "status": "/status/a677ff2b-a5f5-4678-93bb-5d98f62e8c94",
        "cancel": "/cancel/a677ff2b-a5f5-4678-93bb-5d98f62e8c94",
    },
}
AP_NOTHING = {key: value for key, value in AP_FINISHED.items() if key != "result"}
AP_FAILED = {**AP_QUEUED, "status": "failed", "error": "kaput 3", "progress": 1.0, "message": "kaput 3"}
AP_MISSING = {"job_id": "nope", "status": "not_found", "error": "Job not found."}
AP_FULL = {
    "job_id": AP_ID,
    "status": "failed",
    "error": "Queue size limit reached for slow",
    "progress": 1.0,
    "message": "Queue size limit reached for slow",
    "metrics": {"created_at": "2026-11-23T03:13:26.575203Z", "finished_at": "2026-11-23T03:13:26.575303Z"},
    "links": AP_LINKS,
}
AP_CANCEL_REFUSED = {"detail": "Cancellation is not supported for this job queue."}  # HTTP 501
AP_STREAMING = {
    **AP_QUEUED,
    "status": "streaming",
    "links": {**AP_LINKS, "stream": f"/stream/{AP_ID}"},
}
