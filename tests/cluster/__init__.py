"""The launcher against a real API server, the one that KUBECONFIG points at; without one these tests are skipped.

They need a node that runs pods of one small image with `python3` (`STREAMFORGE_TEST_IMAGE`), and the rights to make a
namespace: each test session has one of its own and removes it.
"""
