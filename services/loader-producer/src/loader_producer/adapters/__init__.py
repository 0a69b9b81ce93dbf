"""What the loader talks to: `exchange`, over HTTP. Kafka is talked to through the common library."""
