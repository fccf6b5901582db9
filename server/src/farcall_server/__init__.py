"""Decorate a function and it is a job endpoint with queue, progress, files and docs."""

from farcall.files import File

from farcall_server.app import FastTaskAPI
from farcall_server.progress import JobProgress

__all__ = ["FastTaskAPI", "File", "JobProgress"]
