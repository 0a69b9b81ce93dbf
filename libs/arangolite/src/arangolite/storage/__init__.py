"""Documents in SQLite: one file per database, one writer and many readers, indexes in AQL's order."""
