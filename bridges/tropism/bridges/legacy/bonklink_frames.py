"""BonkLink v1, the frames: raw RGB ("MBRF") or JPEG, read to arrays with the top row first."""

from __future__ import annotations

import io
import struct

import numpy as np

from tropism.bridges.errors import InvalidValue, ProtocolError
from tropism.errors import OptionError

RAW = b"MBRF"
_HEADER = struct.Struct("<4s3i")
SIDE_MAX = 8192


def encode_raw(pixels: np.ndarray) -> bytes:
    """A frame as the plugin's `raw_rgb` writes it, bottom row first.

    Args:
        pixels: uint8 of shape (height, width, 3), top row first.

    Raises:
        InvalidValue: another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InvalidValue(
            f"a frame is uint8 (height, width, 3), not {pixels.dtype} {pixels.shape}"
        )
    height, width, channels = pixels.shape
    return _HEADER.pack(RAW, width, height, channels) + pixels[::-1].tobytes()


def decode_frame(data: bytes, *, bottom_up: bool = True) -> np.ndarray:
    """A frame as uint8 (height, width, 3), top row first.

    Args:
        data: the frame of a packet.
        bottom_up: raw frames come bottom row first, as those of the plugin do; JPEGs are always upright.

    Raises:
        ProtocolError: neither a raw frame nor a JPEG, or a broken one.
        OptionError: a JPEG, and Pillow is not installed.
    """
    if data[:2] == b"\xff\xd8":
        return _decode_jpeg(data)
    if data[:4] != RAW:
        raise ProtocolError(f"a frame that begins with {data[:4].hex(' ') or 'nothing'}")
    rows = _decode_raw(data)
    return rows[::-1].copy() if bottom_up else rows.copy()


def _decode_raw(data: bytes) -> np.ndarray:
    if len(data) < _HEADER.size:
        raise ProtocolError(f"a raw frame of {len(data)} bytes, its header has {_HEADER.size}")
    _, width, height, channels = _HEADER.unpack_from(data)
    if channels != 3 or not (0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX):
        raise ProtocolError(f"a raw frame of {width} x {height} x {channels}")
    if len(data) != _HEADER.size + width * height * 3:
        raise ProtocolError(f"a raw frame of {width} x {height} in {len(data)} bytes")
    return np.frombuffer(data, np.uint8, offset=_HEADER.size).reshape(height, width, 3)


def _decode_jpeg(data: bytes) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise OptionError("JPEG frames need Pillow: pip install 'tropism[render]'") from error
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if max(image.size) > SIDE_MAX:
                raise ProtocolError(f"a JPEG of {image.size}, the largest side is {SIDE_MAX}")
            return np.asarray(image.convert("RGB")).copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ProtocolError(f"a broken JPEG: {error}") from error
