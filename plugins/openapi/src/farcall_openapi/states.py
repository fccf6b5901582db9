"""The words in which job APIs say where a job is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from farcall.errors import ProtocolError
from farcall.jobs import State

# Compared without case, blanks, `-` and `_`. Each word with an API that uses it so.
WORDS: Final[Mapping[str, State]] = {
    "accepted": State.QUEUED,  # OGC API Processes 1.0
    "created": State.QUEUED,  # GitLab pipelines
    "enqueued": State.QUEUED,  # Meilisearch tasks
    "notstarted": State.QUEUED,  # Microsoft's REST guidelines, long-running operations
    "pending": State.QUEUED,  # Celery, Kubernetes pods, Azure Durable Functions
    "queued": State.QUEUED,  # RQ, GitHub checks
    "received": State.QUEUED,  # Celery
    "scheduled": State.QUEUED,  # RQ, Prefect
    "submitted": State.QUEUED,  # AWS Batch
    "waiting": State.QUEUED,  # BullMQ, GitHub checks
    "active": State.RUNNING,  # BullMQ
    "cancelling": State.RUNNING,  # OpenAI batches, Prefect
    "canceling": State.RUNNING,  # Anthropic message batches
    "creating": State.RUNNING,  # Azure Resource Manager's provisioningState
    "deleting": State.RUNNING,  # the same
    "inprogress": State.RUNNING,  # BentoML 1.4 tasks, GitHub checks, Amazon SageMaker
    "processing": State.RUNNING,  # Replicate, Meilisearch tasks
    "provisioning": State.RUNNING,  # Azure Resource Manager's provisioningState
    "retry": State.RUNNING,  # Celery
    "retrying": State.RUNNING,  # Prefect
    "running": State.RUNNING,  # OGC API Processes 1.0, Azure Durable Functions, AWS Batch
    "started": State.RUNNING,  # Celery, RQ
    "starting": State.RUNNING,  # Replicate, AWS Batch
    "updating": State.RUNNING,  # Azure Resource Manager's provisioningState
    "complete": State.SUCCEEDED,  # Kubernetes jobs
    "completed": State.SUCCEEDED,  # OpenAI batches, Azure Durable Functions, BullMQ
    "done": State.SUCCEEDED,  # Google Cloud Dataproc jobs
    "finished": State.SUCCEEDED,  # RQ
    "succeeded": State.SUCCEEDED,  # Microsoft's REST guidelines, Replicate, AWS Batch
    "success": State.SUCCEEDED,  # BentoML 1.4 tasks, Celery, GitLab pipelines
    "successful": State.SUCCEEDED,  # OGC API Processes 1.0
    "crashed": State.FAILED,  # Prefect
    "error": State.FAILED,  # Google Cloud Dataproc jobs
    "errored": State.FAILED,  # Terraform Cloud runs
    "failed": State.FAILED,  # Microsoft's REST guidelines, OGC API Processes 1.0, RQ
    "failure": State.FAILED,  # BentoML 1.4 tasks, Celery
    "rejected": State.FAILED,  # Celery
    "aborted": State.CANCELLED,  # Replicate, AWS Step Functions
    "canceled": State.CANCELLED,  # Microsoft's REST guidelines, Replicate
    "cancelled": State.CANCELLED,  # BentoML 1.4 tasks, OpenAI batches
    "dismissed": State.CANCELLED,  # OGC API Processes 1.0
    "revoked": State.CANCELLED,  # Celery
    "stopped": State.CANCELLED,  # RQ, Amazon SageMaker
    "terminated": State.CANCELLED,  # Azure Durable Functions
    "deadlineexceeded": State.TIMED_OUT,  # google.rpc.Code, Kubernetes jobs
    "expired": State.TIMED_OUT,  # OpenAI batches
    "timedout": State.TIMED_OUT,  # AWS Step Functions
    "timeout": State.TIMED_OUT,  # Slurm
}
_BETWEEN: Final = re.compile(r"[\s_-]+")


def known(word: str) -> State | None:
    """The state a word means; None if it is in no table.

    >>> known("In_Progress"), known("shipped")
    (<State.RUNNING: 'running'>, None)
    """
    return WORDS.get(_BETWEEN.sub("", word).lower())


def state_of(word: object, own: Mapping[str, State]) -> State:
    """The state a word means: by the binding's own table, else by the common one.

    Raises:
        ProtocolError: It is in neither.
    """
    state = own.get(str(word)) or (known(word) if isinstance(word, str) else None)
    if state is None:
        raise ProtocolError(
            f"The service says of a job that it is {word!r}, which is in no table; "
            "tell what it means with job={'states': {…}}."
        )
    return state
