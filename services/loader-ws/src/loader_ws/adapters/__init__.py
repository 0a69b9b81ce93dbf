"""What the loader talks to: `websocket`, the exchange's streams. Kafka is talked to through the common library."""
