"""KSeF's API as data: for each resource its models and its rows of the table of operations, in one file.

The client builds its requests from the rows, the sandbox its routes, and the contract tests hold both to the
specification (OpenAPI 2.9.0). Everything that is true of an operation as such is said here and nowhere else.
`table.OPERATIONS` has all rows; a client imports those it calls, so that a program loads the models of what it uses.
"""
