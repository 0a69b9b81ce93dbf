"""AQL: text to tree (`parse`), tree to a pipeline of operators (`compile`, `plan`), pipeline to values (`query`), values to clients (`cursors`)."""
