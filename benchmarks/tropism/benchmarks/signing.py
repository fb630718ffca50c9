"""Ed25519 signatures on checkpoints, as C2SP signed-note (https://c2sp.org/signed-note).

Needs the extra ``sign`` (``pip install 'tropism[sign]'``). The private key is made at first use,
readable by its owner alone, and belongs outside the repository; the public key is one line of text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tropism.benchmarks.checkpoint import ORIGIN, Checkpoint
from tropism.errors import ArtifactError, OptionError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ED25519 = b"\x01"  # algorithm byte of signed-note


def load_key(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    """Return the private key in ``path``, made there with mode 0600 if there is none.

    Raises:
        OptionError: If the ``cryptography`` package is missing.
        ArtifactError: If the file is no Ed25519 key, or others may read it.
    """
    _need_cryptography()
    path = Path(path)
    if not path.exists():
        _create_key(path)
    return _read_key(path)


def verifier_key(key: Ed25519PrivateKey, name: str = ORIGIN) -> str:
    """Return the public half as one line to publish: ``<name>+<key id>+<base64 key>``."""
    public = _ED25519 + key.public_key().public_bytes_raw()
    return f"{name}+{_key_id(name, public).hex()}+{base64.b64encode(public).decode()}"


def sign(text: str, key: Ed25519PrivateKey, name: str = ORIGIN) -> str:
    """Return the signature line over ``text``, without a line end."""
    public = _ED25519 + key.public_key().public_bytes_raw()
    blob = _key_id(name, public) + key.sign(text.encode())
    return f"— {name} {base64.b64encode(blob).decode()}"


def verify(text: str, signatures: Iterable[str], public_key: str) -> bool:
    """Tell whether one of the signature lines is ``public_key``'s over ``text``.

    Args:
        text: The signed text, final line end included.
        signatures: Lines as ``sign`` returns them; those of other keys are passed over.
        public_key: A line as ``verifier_key`` returns it.

    Raises:
        OptionError: If ``public_key`` is malformed or the ``cryptography`` package is missing.
    """
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    name, key_id, public = _parse_verifier_key(public_key)
    for blob in _blobs(signatures, name):
        if blob[:4] != key_id:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], text.encode())
        except InvalidSignature:
            continue
        return True
    return False


def unsigned(checkpoints: Sequence[Checkpoint], public_key: str) -> str:
    """Tell which of the checkpoints ``public_key`` did not sign; empty if it signed all of one or more.

    Raises:
        OptionError: As ``verify``.
    """
    for checkpoint in checkpoints:
        if not verify(checkpoint.text, checkpoint.signatures, public_key):
            return (
                f"the checkpoint of {checkpoint.ts} over {checkpoint.size} entries carries no "
                "valid signature of the public key given"
            )
    return (
        "" if checkpoints else "no checkpoint is published or given, so no signature vouches for it"
    )


def check_successor(
    path: Path, before: Sequence[Checkpoint], key_path: str | os.PathLike[str] | None
) -> None:
    """Refuse to replace a signed checkpoint by one that its signer does not vouch for.

    Args:
        path: Where the checkpoints are published, for the message.
        before: What is published there now, if anything.
        key_path: The private key that would sign the next one; none by default.

    Raises:
        OptionError: If ``before`` is signed, and not by that key.
    """
    public = "" if key_path is None else verifier_key(load_key(key_path))
    signed = [checkpoint for checkpoint in before if checkpoint.signatures]
    if signed and (not public or unsigned(signed, public)):
        raise OptionError(
            f"{path} is signed, and {'not by ' + str(key_path) if public else 'no key was given'}; "
            "sign with the same key (leaderboard run --sign KEYFILE, ledger sign --key KEYFILE), or "
            "move the checkpoint aside to begin anew"
        )


def _blobs(signatures: Iterable[str], name: str) -> Iterable[bytes]:
    for line in signatures:
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if dash == "—" and signer == name:
            try:
                yield base64.b64decode(encoded, validate=True)
            except binascii.Error:
                continue


def _parse_verifier_key(line: str) -> tuple[str, bytes, bytes]:
    name, _, rest = line.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        public = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        public = b""
    well_formed = len(public) == 33 and public[:1] == _ED25519
    if not well_formed or _key_id(name, public).hex() != key_id:
        raise OptionError(
            f"public_key={line!r} is no Ed25519 verifier key; expected one line "
            "<name>+<8 hex digits>+<base64>, as published with the ledger"
        )
    return name, bytes.fromhex(key_id), public[1:]


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def _create_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def _read_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ArtifactError(f"others may read the private key {path}; run chmod 600 on it")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is no unencrypted PEM private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ArtifactError(f"{path} holds a {type(key).__name__}; expected an Ed25519 key")
    return key


def _need_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise OptionError("signatures need the package cryptography: pip install 'tropism[sign]'")
