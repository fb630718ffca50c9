"""The wire protocol without any transport: docs/bridge-protocol.md."""
