"""Takes workflows over REST and brings them to their end.

- `app.requests`: what a person asks for, checked.
- `app.workflow`: the document that is stored; `app.lifecycle`: how it moves, without any I/O.
- `app.controller`: compares what is wanted with what is seen and acts, over and over; `app.ports`: what it acts on.
- `adapters`: the REST API, ArangoDB, Kafka and the launcher of jobs.
"""
