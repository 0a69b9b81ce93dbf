"""The launcher and an installation on a real cluster, the one that KUBECONFIG points at; without one all is skipped.

The launcher's tests need a node that runs pods of one small image with `python3` (`STREAMFORGE_TEST_IMAGE`), and the
rights to make a namespace: each test session has one of its own and removes it. What an installation needs besides is
said there.

`trials` is a script beside them, run by hand: it breaks things while workflows run.
"""
