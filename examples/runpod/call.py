"""Calls the voice, wherever it is: `python call.py`, or `FARCALL_PROFILE=runpod python call.py`."""

import farcall

with farcall.connect("voice") as voice:
    job = voice.speak.submit(text="hello", times=5)
    for look in job.events():
        print(look.state, look.progress, look.message)
    print(job.result().read().decode())
    print(*voice.tell.submit(text="one two three").stream())
