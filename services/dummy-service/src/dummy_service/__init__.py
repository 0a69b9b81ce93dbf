"""The smallest StreamForge service: the worked example, and a probe of the broker.

- `app` decides: the work of its job.
- `adapters` talks: `api` over HTTP, `broker` to Kafka.
- `settings`, `__main__`: reads the environment and wires.
"""
