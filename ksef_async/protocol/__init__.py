"""The rules of KSeF without input or output: shared by the client and the sandbox, tested as tables."""
