"""Runpod's control plane in small, on this machine: its public API before, real workers of its SDK behind."""

from farcall_runpod.emulator.faults import Fault
from farcall_runpod.emulator.server import Emulator, Endpoint
from farcall_runpod.emulator.times import Times

__all__ = ["Emulator", "Endpoint", "Fault", "Times"]
