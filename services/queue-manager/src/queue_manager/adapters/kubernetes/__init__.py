"""The launcher of a cluster: jobs are Kubernetes Jobs.

- `manifest`: from a job and what the operator has laid down to the Job that is created; pure.
- `sight`: from what the API server shows of a Job and its pods to how the job stands, and why, in words; pure.
- `launcher`: the calls; the only module that imports the client library.
"""
