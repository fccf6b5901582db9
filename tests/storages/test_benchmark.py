"""The benchmark of storages, which writes gigabytes, leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time

from storages.servers import ROOT


def test_a_benchmark_that_is_told_to_end_leaves_no_file(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "storages.py", "--mib", "1", "--rounds", "1000"]
    running = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("*/*/seaweedfs")):  # its server is there
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 128 + signal.SIGTERM
    finally:
        running.kill()
        running.wait()
    assert list(tmp_path.iterdir()) == []
