"""What the loader decides, without talking to anybody.

- `dataset`: what the `start` command asks for.
- `gaps`: what is missing, in a page and between pages.
- `planning`: which part of a range comes from where, and what it costs; `planned_loading`: its way.
- `files`: the plan of an archive's files; `file_queue`: the files themselves, one ahead.
- `standing_in`: what comes over REST in place of a file.
- `place`: where the loader stands, as it is kept in the checkpoint.
- `publishing`: what all ways of loading do in the same manner.
- `loading`: the way of a page: fetched, published, checkpointed.
- `archive_loading`: the way of an archive's file.
- `snapshot_loading`: the way of what there is at this moment.
- `basket_loading`: the way of a basket, which is that of its symbols, some at a time.
"""
