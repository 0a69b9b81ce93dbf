"""The launcher of a cluster: jobs are Kubernetes Jobs, with KEDA those of live connectors Deployments.

- `manifest`: from a job and what the operator has laid down to the objects that are created; pure.
- `sight`: from what the API server shows of a Job and its pods to how the job stands, and why, in words; pure.
- `launcher`, `scaled`: which objects jobs are, and what is seen of them; with `calls`, how the API server is called,
  the only modules that import the client library.
"""
