"""Invoices as KSeF keeps them: one by one, as lists, and in packages. Source: OpenAPI 2.9.0, /invoices/*."""

from __future__ import annotations

from http import HTTPMethod

from ..models.invoices import (
    ExportInvoicesRequest,
    ExportInvoicesResponse,
    ExportStatus,
    InvoiceFilters,
    InvoiceMetadataPage,
)
from .operation import Operation, RateGroup

__all__ = ["EXPORT_INVOICES", "GET_EXPORT_STATUS", "GET_INVOICE", "QUERY_INVOICE_METADATA"]

GET, POST = HTTPMethod.GET, HTTPMethod.POST

_READERS = ("InvoiceRead",)

GET_INVOICE: Operation[None, bytes] = Operation(
    name="get_invoice", method=GET, path="/invoices/ksef/{ksef_number}", success=200, response=bytes,
    permissions=_READERS, rate_group=RateGroup.INVOICE_DOWNLOAD, repeat_safe=True,
)  # fmt: skip
QUERY_INVOICE_METADATA: Operation[InvoiceFilters, InvoiceMetadataPage] = Operation(
    name="query_invoice_metadata", method=POST, path="/invoices/query/metadata", success=200,
    request=InvoiceFilters, response=InvoiceMetadataPage,
    query=("sort_order", "page_offset", "page_size"), largest_page=250,
    permissions=_READERS, rate_group=RateGroup.INVOICE_METADATA, repeat_safe=True,
)  # fmt: skip
# An export that nobody fetches does no harm: after a lost answer another one is begun.
EXPORT_INVOICES: Operation[ExportInvoicesRequest, ExportInvoicesResponse] = Operation(
    name="export_invoices", method=POST, path="/invoices/exports", success=201,
    request=ExportInvoicesRequest, response=ExportInvoicesResponse,
    permissions=_READERS, rate_group=RateGroup.INVOICE_EXPORT, repeat_safe=True,
)  # fmt: skip
GET_EXPORT_STATUS: Operation[None, ExportStatus] = Operation(
    name="get_export_status", method=GET, path="/invoices/exports/{reference_number}", success=200,
    response=ExportStatus, permissions=_READERS, rate_group=RateGroup.INVOICE_EXPORT_STATUS, repeat_safe=True,
)  # fmt: skip
