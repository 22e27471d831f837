"""Receiving invoices: packages of them, and going on from where one stopped."""
