"""What the loader decides, without talking to anybody.

- `dataset`: what the `start` command asks for.
- `pages`: the plan of pages, and what a page must be.
- `gaps`: what is missing, in a page and between pages.
- `budget`: when the exchange may be asked again.
- `place`: where the loader stands, as it is kept in the checkpoint.
- `loading`: the way of a page: fetched, published, checkpointed.
"""
