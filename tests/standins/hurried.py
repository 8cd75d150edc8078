"""The command line with next to no wait for services that do not answer: run it by `tests.forks`.

How often a request is tried, and what comes of it, is checked with whole commands; how long is waited between
two tries is checked in tests/pipeline/web/test_client.py.
"""

from pipeline.cli.app import main
from pipeline.core import cluster
from pipeline.web import client

LONGEST_WAIT_S = 0.01

if __name__ == "__main__":
    client.LONGEST_WAIT_S = LONGEST_WAIT_S
    cluster.CONNECT_S = 1
    main()
