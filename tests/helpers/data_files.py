"""Files of data sets, as they are published."""

import gzip
import hashlib

from rbench.tasks.files import File


def sha(data):
    return hashlib.sha256(data).hexdigest()


def as_file(name, content):
    return File(name, sha(gzip.compress(content, mtime=0)), sha(content))


def put(folder, compressed=True, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(
            gzip.compress(data, mtime=0) if compressed else data
        )
