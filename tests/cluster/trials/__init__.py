"""Trials on a real cluster: something breaks while a workflow runs, and nothing may be missing or left over then.

Run by hand, on the machine that is the cluster's node; needs what the tests of an installation need:

    KUBECONFIG=… STREAMFORGE_TEST_HOST=… python -m tests.cluster.trials [--trials 10] [--only KIND …]
    KUBECONFIG=… STREAMFORGE_TEST_HOST=… python -m tests.cluster.trials replicas

- `scene`: the installation, a workflow that is under way, and what must hold when it has ended.
- `kinds`: what breaks.
- `replicas`: many workflows while replicas of queue-manager are killed.
"""
