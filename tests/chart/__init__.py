"""The Helm chart: what it renders, and that it agrees with the code; `make chart-tools` builds the programs for that.

That it installs is for a cluster to tell, see tests/cluster.
"""
