"""KSeF's data as attrs classes and enums: no behaviour; `protocol.wire` turns them into JSON and back."""
