"""Sessions at KSeF: opening them, sending invoices in them, and following what becomes of those."""
