"""One real Slurm cluster for all tests of this folder; without root or the packages they skip, saying so."""

import os
from collections.abc import Iterator

import pytest
from cluster import Cluster, missing_programs, new_folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.skip("a real Slurm is started as root, and this is another user")
    if missing := missing_programs():
        pytest.skip(f"{', '.join(missing)} not found: install Slurm with tests/slurm/install.sh (make test-slurm does)")
    with Cluster(new_folder()) as cluster:
        yield cluster
