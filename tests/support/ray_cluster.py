"""A real Ray cluster of two nodes on this machine: prints its address, and ends with standard input.

Run as a program of its own, so that Ray leaves nothing behind in the process that tests.
"""

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    """Start two raylets of one core each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
