"""From credentials to a bearer token that is always fresh."""
