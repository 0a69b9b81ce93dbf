"""The only door to ArangoDB.

- `database`: opening the database, making collections; what ArangoDB's errors mean to StreamForge.
- `importing`: storing documents in bulk, the one call that does not go through python-arango.
"""
