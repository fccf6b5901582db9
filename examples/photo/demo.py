"""A photograph through a job service, called like a Python function: `demo.py URL PHOTO FOLDER`."""

import sys
import time

import farcall
from rich.progress import Progress

url, photo, folder = sys.argv[1:]

with farcall.connect(url) as lab:
    job = lab.enhance.submit(photo=photo)
    with Progress() as progress:
        bar = progress.add_task("sending", total=1.0)
        for look in job.events():
            progress.update(bar, completed=look.progress or 0.0, description=look.message or look.state)
    picture = job.result().save(folder)

    start = time.perf_counter()
    farcall.gather([lab.tick.submit(number=number) for number in range(200)])
    print(f"200 jobs at once: {200 / (time.perf_counter() - start):,.0f} jobs/s")

print(f"The picture: {picture}")
print(f"The service's own page, to try it by hand: {url}/docs")
