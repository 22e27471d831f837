"""Sending invoices: the heart of the house."""
