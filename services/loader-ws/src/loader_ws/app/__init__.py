"""What the loader decides, without talking to anybody.

- `dataset`: what the `start` command asks for.
- `sequence`: what was received before, and what was missed.
- `backlog`: records between the exchange and the broker, never too many.
- `place`: where the loader stands, as it is kept in the checkpoint.
- `receiving`: the way of a frame: read, checked, put into the backlog; when to connect anew.
- `shared_streams`, `basket_receiving`: the same for several symbols on few connections.
- `loading`: the way of a record from there: published, counted, reported.
"""
