"""What the service talks to: people, through `api`, and Kafka, in `broker`."""
