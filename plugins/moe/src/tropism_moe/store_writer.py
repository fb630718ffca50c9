"""Write a store slab by slab: it appears under its name whole, or not at all."""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from tropism.agents.artifacts import TEMPORARY, sync_directory
from tropism.errors import OptionError
from tropism_moe.store_errors import Key, StoreWriteError
from tropism_moe.store_format import BLOCK, Slab, pack_header, pack_index


class StoreWriter:
    """Writes a store beside its place and puts it there on leaving without an error; holds one slab at a time.

    ::

        with StoreWriter(path, {"model": "demo"}) as writer:
            writer.add(layer, expert, data, {"rows": 1536})

    A store that was there before stays until the new one is whole and on the disk.  A writer that is killed leaves a file whose
    name starts with ``.tmp-`` and which nobody reads.

    Args:
        path: of the store.
        facts: of the whole store, JSON values.

    Raises:
        OptionError: facts that JSON cannot hold.
        StoreWriteError: on entering, adding or leaving: the disk is full, say.  Nothing is left behind.
    """

    def __init__(self, path: str | os.PathLike[str], facts: Mapping[str, Any]) -> None:
        self.path, self.facts = Path(path), dict(facts)
        self._work = self.path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        self._slabs: dict[Key, Slab] = {}
        self._end = BLOCK
        self._file: FileIO | None = None
        _require_json("facts", self.facts)

    def __enter__(self) -> StoreWriter:
        try:
            self._file = open(self._work, "xb", buffering=0)
            self._write(bytes(BLOCK))
        except OSError as error:
            self._give_up()
            raise self._failed(error, None) from error
        return self

    def add(
        self, layer: int, expert: int, data: Any, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Append a slab.

        Args:
            layer: from 0.
            expert: from 0.
            data: its bytes: anything contiguous with a buffer, such as an array; at least one byte.
            meta: what is to be known of it, JSON values.

        Raises:
            OptionError: the slab is there already, or an argument is out of range.
            StoreWriteError: the disk is full, say.
        """
        view, meta = self._accepted((layer, expert), data), dict(meta or {})
        _require_json(f"meta of slab (layer {layer}, expert {expert})", meta)
        slab = Slab(int(layer), int(expert), self._end, len(view), zlib.crc32(view), meta)
        try:
            self._write(view, self._end)
            self._write(bytes(slab.padded - slab.length))
        except OSError as error:
            raise self._failed(error, slab.key) from error
        self._slabs[slab.key] = slab
        self._end += slab.padded

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._publish()
        except OSError as failure:
            raise self._failed(failure, None) from failure
        finally:
            self._give_up()

    def _accepted(self, key: Key, data: Any) -> memoryview:
        """The bytes of ``data``, if a slab of this key can be made of them."""
        layer, expert = key
        name = f"slab (layer {layer}, expert {expert})"
        if self._file is None:
            raise OptionError(f"{self.path}: {name} cannot be added: the writer is not open")
        if layer < 0 or expert < 0:
            raise OptionError(f"{self.path}: {name} is out of range: both count from 0")
        if key in self._slabs:
            raise OptionError(f"{self.path}: {name} was added before; add each slab once")
        try:
            view = memoryview(data).cast("B")
        except TypeError as error:
            raise OptionError(
                f"{self.path}: {name} must be contiguous bytes, {type(data).__name__} is not ({error})"
            ) from error
        if not view:
            raise OptionError(f"{self.path}: {name} has 0 bytes, at least 1 is expected")
        return view

    def _publish(self) -> None:
        """Write index and header, and put the file in its place."""
        if not self._slabs:
            raise OptionError(f"{self.path}: a store needs at least one slab, none was added")
        assert self._file is not None
        index = pack_index(self.facts, list(self._slabs.values()))
        self._write(index, self._end)
        self._file.truncate()
        self._write(pack_header(index, self._end), 0)
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._work, self.path)
        sync_directory(self.path.parent)

    def _write(self, data: Any, at: int | None = None) -> None:
        """Write all of it, the operating system may take less at a time; ``at`` an offset, or where the last one ended."""
        assert self._file is not None
        if at is not None:
            self._file.seek(at)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def _give_up(self) -> None:
        """Close and remove the unfinished file, if there still is one."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._work.unlink(missing_ok=True)

    def _failed(self, error: OSError, slab: Key | None) -> StoreWriteError:
        return StoreWriteError(
            self.path, f"writing failed after {self._end} bytes ({error.strerror or error})",
            "make room or choose another directory; what was there before is unchanged", slab=slab,
        )  # fmt: skip


def _require_json(name: str, value: dict[str, Any]) -> None:
    try:
        pack_index(value, [])
    except (TypeError, ValueError) as error:
        raise OptionError(f"{name} must be JSON values, they are not: {error}") from error
