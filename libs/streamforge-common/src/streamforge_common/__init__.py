"""What every StreamForge service shares: the words of the contract, Kafka, ArangoDB, exchanges and the life of a job."""
