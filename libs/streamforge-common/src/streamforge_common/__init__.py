"""What every StreamForge service shares.

From the bottom up, each module may use those before it (import-linter holds this):

- `errors`, `ids`: the three failures; names and identities.
- `settings`: the environment variables of the contract, in groups that a service combines.
- `contract`: the words of the contract as types: commands, events, records, time ranges, kinds of data.
- `exchanges`: one module per exchange, declarations and pure parsers.
- `telemetry`: log lines and metrics, declared once.
- `outages`: waiting for a broker or database that is away, until it is fatal.
- `kafka`, `arango`: the only doors to aiokafka and python-arango. `history`: the door to the exchanges' REST history.
- `serving`, `job`: health and metrics over HTTP; the life of a job. `api_server`: for services with a REST API.
"""
