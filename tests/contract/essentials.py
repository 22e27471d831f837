"""What an answer of KSeF is of no use without. All else may be missing, null, of an unknown value or unreadable.

An essential of a row or of an optional part sinks that row or part only, and the event `AnswerIncomplete` tells.
"""

from __future__ import annotations

__all__ = ["ESSENTIALS"]

#: Why, and which fields.
ESSENTIALS: dict[str, str] = {
    "names what is asked about, sent to, closed or waited for next": """
        AuthSession.reference_number EnrollmentStarted.reference_number ExportInvoicesResponse.reference_number
        GenerateTokenResponse.reference_number IssuedToken.reference_number LoginStarted.reference_number
        OpenBatchSessionResponse.reference_number OpenOnlineSessionResponse.reference_number
        OperationStarted.reference_number SendInvoiceResponse.reference_number SessionInvoice.reference_number
        SessionSummary.reference_number UPOPage.reference_number
    """,
    "is what the row is about, and what it is found or revoked by": """
        AuthorizationRow.id CertificateRow.certificate_serial_number CollectiveIdentifier.collective_identifier_number
        CollectiveIdentifierInvoice.ksef_number CollectiveIdentifierOfInvoice.collective_identifier_number
        EntityPermissionRow.id EntityRoleRow.role EuPermissionRow.id InvoiceMetadata.ksef_number PeppolProvider.id
        PersonPermissionRow.id PersonalPermissionRow.id SubordinateRoleRow.role
        SubordinateRoleRow.subordinate_entity_identifier SubunitPermissionRow.id
    """,
    "decides what is done next: wait, go on, or raise": """
        AuthSession.status Enrollment.status ExportStatus.status InvoiceStatusInfo.code IssuedToken.status
        LoginStatus.status OperationStatus.status SessionInvoice.status SessionStatus.status SessionSummary.status
        StatusInfo.code
    """,
    "goes into the proof of a login, as KSeF gave it": "Challenge.challenge Challenge.timestamp_ms",
    "is called with": """
        AccessTokenResponse.access_token LoginStarted.authentication_token TokenInfo.token TokenPair.access_token
        TokenPair.refresh_token
    """,
    "is what was asked for, and is told once or not at all": """
        CreateCollectiveIdentifierResponse.collective_identifier_number GenerateTokenResponse.token
        RetrievedCertificate.certificate
    """,
    "a list without its rows is no empty list": """
        AuthSessionPage.items AuthorizationPage.authorization_grants CertificatePage.certificates
        CollectiveIdentifierInvoicePage.invoices CollectiveIdentifierOfInvoicePage.collective_identifiers
        CollectiveIdentifierPage.collective_identifiers EntityPermissionPage.permissions EntityRolePage.roles
        EuPermissionPage.permissions InvoiceMetadataPage.invoices PeppolProviderPage.peppol_providers
        PersonPermissionPage.permissions PersonalPermissionPage.permissions RetrievedCertificates.certificates
        SessionInvoicePage.invoices SessionPage.sessions SubordinateRolePage.roles SubunitPermissionPage.permissions
        TokenPage.tokens
    """,
    "tells whether there is more, which would be lost in silence": """
        AuthorizationPage.has_more CertificatePage.has_more EntityPermissionPage.has_more EntityRolePage.has_more
        EuPermissionPage.has_more InvoiceMetadataPage.has_more InvoiceMetadataPage.is_truncated
        InvoicePackage.is_truncated PeppolProviderPage.has_more PersonPermissionPage.has_more
        PersonalPermissionPage.has_more SubordinateRolePage.has_more SubunitPermissionPage.has_more
    """,
    "a key is chosen by its use, and encrypted for": "PublicKeyCertificate.certificate PublicKeyCertificate.usage",
    "a certificate is asked for in this name": "EnrollmentData.common_name",
    "says where the parts of a package go, and how": """
        OpenBatchSessionResponse.part_upload_requests PartUploadRequest.headers PartUploadRequest.method
        PartUploadRequest.ordinal_number PartUploadRequest.url
    """,
    "says where the parts of a package come from, and what bounds and vouches for them": """
        InvoicePackage.parts PackagePart.encrypted_part_hash PackagePart.encrypted_part_size
        PackagePart.ordinal_number PackagePart.part_hash PackagePart.part_size PackagePart.url
    """,
    "says which pages a receipt has": "UPO.pages",
    "a limit of which one number is unknown is unknown": """
        CollectiveIdentifierLimits.max_invoices RateLimit.per_hour RateLimit.per_minute RateLimit.per_second
        SessionLimits.max_invoice_size_mb SessionLimits.max_invoice_with_attachment_size_mb SessionLimits.max_invoices
    """,
    "half of a name, an amount or an address names nothing (the same models go out in requests)": """
        AuthorIdentifier.type AuthorizedSubject.nip BuyerIdentifier.type Context.type Context.value
        EntityIdentifier.type EntityIdentifier.value ForeignEntityDetails.address ForeignEntityDetails.full_name
        IdDocument.country IdDocument.number IdDocument.type InvoicePayment.amount InvoicePayment.currency
        NipIdentifier.type NipIdentifier.value PersonIdentifier.type PersonIdentifier.value Seller.nip
        SubjectIdentifier.type SubjectIdentifier.value TargetIdentifier.type ThirdSubjectIdentifier.type
        UnitIdentifier.type UnitIdentifier.value
    """,
}
