"""The whole platform as a person has it: REST, and what is in the database then.

One text for both platforms: `--platform cluster` has it run on an installation on the cluster of KUBECONFIG instead of
`streamforge up`. What is about processes of this machine is skipped there, and says so.
"""
