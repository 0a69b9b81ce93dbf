"""What the connector talks to: `database`. Kafka is talked to through the common library."""
