"""A program that uploads one file and says each part it has stored: `uploading.py PLACE OPTIONS FILE`, to be killed."""

import json
import sys

import farcall

place, options, path = sys.argv[1:]
with farcall.open_storage(place, **json.loads(options)) as storage:
    storage.upload(path, progress=lambda done, total: sys.stdout.write(f"{done}\n") and sys.stdout.flush())
