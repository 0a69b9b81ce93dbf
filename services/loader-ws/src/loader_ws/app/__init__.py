"""What the loader decides, without talking to anybody.

- `dataset`: what the `start` command asks for.
- `sequence`: what was received before, and what is missing; `holes`: what may still come, never too much of it.
- `intake`: one stream's records on their way into the backlog, whoever brings them.
- `backlog`: records between the exchange and the broker, never too many.
- `place`: where the loader stands, as it is kept in the checkpoint.
- `receiving`: when to connect, and when anew; `listening`: one connection, frame by frame.
- `shared_streams`, `basket_receiving`: the same for several symbols on few connections.
- `filling`: the way back to what was missed, over REST; `filled_receiving`: receiving with it.
- `book`, `books`: an order book that is right or not there; what of it is published, and what is told.
- `book_receiving`: receiving where snapshots over REST are needed besides.
- `polling`: what is asked for again and again.
- `receivers`: which of these a dataset needs.
- `loading`: the way of a record from there: published, counted, reported.
"""
