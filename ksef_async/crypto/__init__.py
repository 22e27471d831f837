"""Cryptography: bytes in, bytes out; nothing here waits or knows of KSeF's JSON."""
