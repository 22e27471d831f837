"""Calling one operation: the socket, the caller, the Ministry's public keys, waiting, and events."""
