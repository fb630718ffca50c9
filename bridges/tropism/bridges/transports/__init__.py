"""How messages travel: sockets, WebSockets and shared memory under one interface."""
