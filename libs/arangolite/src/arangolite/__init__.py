"""An embedded database server that speaks the HTTP API of ArangoDB."""
