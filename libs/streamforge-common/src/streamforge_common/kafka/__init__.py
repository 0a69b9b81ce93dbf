"""The only door to Kafka.

- `clients`: connection options; what a Kafka error means to StreamForge.
- `topics`: creating topics, reading their ends and the places of groups.
- `messages`: small messages, one at a time: commands and events.
- `records`: records, many at a time: publishing a page, consuming batches.
- `checkpoint`: where a loader stands, kept beside its data.
"""
