"""AQL, in the order of a query's life.

Text becomes a tree (`parse`, `tree`), the tree a pipeline of stages (`pipeline`, `plan`, `expressions`), the pipeline
gives values (`query`), and the values go to the client batch by batch (`cursors`).
"""
