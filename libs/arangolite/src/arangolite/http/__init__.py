"""ArangoDB's HTTP API: one module per area, each a thin translation between requests and storage or queries."""
