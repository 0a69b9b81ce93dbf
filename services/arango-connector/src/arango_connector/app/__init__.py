"""What the connector decides, without talking to anybody.

- `dataset`: what the `start` command asks for.
- `batches`: what of a batch is a document, what a repetition, what is rejected.
- `tally`: what became of the messages so far.
- `storing`: the way of a batch: read, checked, stored, acknowledged.
"""
