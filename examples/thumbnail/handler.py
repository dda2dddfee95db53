"""Scales a picture down with Pillow.

The picture is the event's `image` (base64) or, without one, the portrait shipped with the function.
"""

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

PORTRAIT = Path(__file__).with_name("hopper.jpg")
LARGEST = 1024
# A picture is decompressed in memory: refuse one that could not fit the sandbox anyway.
Image.MAX_IMAGE_PIXELS = 12_000_000


def handler(event, context):
    width, height = (int(event.get(key, 128)) for key in ("width", "height"))
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise ValueError(f"width and height must be between 1 and {LARGEST}")
    encoded = event.get("image")
    source = base64.b64decode(encoded, validate=True) if encoded else PORTRAIT.read_bytes()

    with Image.open(io.BytesIO(source)) as picture:
        original = picture.size
        # Turn the picture as its camera meant it, before its EXIF data is dropped.
        small = ImageOps.exif_transpose(picture).convert("RGB")
    small.thumbnail((width, height), Image.Resampling.LANCZOS)
    if event.get("grey"):
        small = ImageOps.grayscale(small)

    out = io.BytesIO()
    small.save(out, format="JPEG", quality=int(event.get("quality", 85)), optimize=True)
    data = out.getvalue()
    print(f"{original[0]}x{original[1]}, {len(source)} bytes -> {small.width}x{small.height}")
    return {
        "width": small.width,
        "height": small.height,
        "original": {"width": original[0], "height": original[1], "bytes": len(source)},
        "bytes": len(data),
        "jpeg": base64.b64encode(data).decode("ascii"),
    }
