"""Compresses a text with gzip, checks that it comes back unchanged, and hashes both.

The text is the event's `text` or, without one, the first part of Newton's Opticks.
"""

import collections
import gzip
import hashlib
import re
from pathlib import Path

OPTICKS = Path(__file__).with_name("opticks.txt")


def handler(event, context):
    data = event["text"].encode() if "text" in event else OPTICKS.read_bytes()
    level = int(event.get("level", 6))
    # No time stamp in the header: the same text gives the same bytes, and the same hash.
    packed = gzip.compress(data, compresslevel=level, mtime=0)
    if gzip.decompress(packed) != data:
        raise RuntimeError("gzip did not return the text it was given")

    words = re.findall(r"[a-z']+", data.decode("utf-8", "replace").lower())
    common = collections.Counter(word for word in words if len(word) > 5)
    print(f"{len(data)} bytes, {len(packed)} compressed at level {level}")
    return {
        "bytes": len(data),
        "gzip_bytes": len(packed),
        "ratio": round(len(packed) / max(len(data), 1), 4),
        "sha256": hashlib.sha256(data).hexdigest(),
        "gzip_sha256": hashlib.sha256(packed).hexdigest(),
        "words": len(words),
        "common": dict(common.most_common(int(event.get("top", 5)))),
    }
