"""Shared memory under a session between processes of one machine: docs/bridge-protocol.md, section 9."""
