"""The page the sandbox serves at ``/``: what it holds, as a person reads it."""
