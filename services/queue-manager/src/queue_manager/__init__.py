"""Takes workflows over REST and brings them to their end.

- `app.requests`: what a person asks for, checked.
- `app.workflow`: the document that is stored; `app.wishes`, `app.lifecycle`, `app.actions`: how it moves, without I/O.
- `app.quality`: the completeness report; `app.admission`: how many workflows run at once.
- `app.controller`: compares what is wanted with what is seen and acts, over and over; `app.ports`: what it acts on.
- `adapters`: the REST API, ArangoDB, Kafka and the launcher of jobs.
"""
