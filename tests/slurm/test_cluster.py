"""The test cluster is a real one: it gives out GPUs, makes jobs wait, preempts, times out, kills and requeues."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import NODES, Cluster, new_folder, wait_until

pytestmark = pytest.mark.slurm
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def overdue(cluster: Cluster) -> str:
    """A job with a time limit of one minute, Slurm's shortest: it runs out while the other tests run."""
    return cluster.sbatch("sleep 600", "--time=1", "--nodelist=node2")


@pytest.fixture
def release(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A file that does not exist yet; a job of `until(release)` ends when it does."""
    path = tmp_path / "release"
    yield path
    path.touch()


def until(path: Path) -> str:
    return f"while [ ! -e {path} ]; do sleep 0.1; done"


def test_both_nodes_are_up(cluster: Cluster):
    assert set(cluster.nodes()) == set(NODES)
    assert not {"down", "drained", "unknown"} & set(cluster.nodes().values())


def test_a_job_gets_the_gpu_it_asks_for_and_no_other_does(cluster: Cluster):
    with_gpu = cluster.sbatch("echo gpu=$CUDA_VISIBLE_DEVICES", "--gpus=1")
    without = cluster.sbatch("echo gpu=$CUDA_VISIBLE_DEVICES")
    for job in (with_gpu, without):
        cluster.wait(job, "COMPLETED")
    assert cluster.output(with_gpu) == "gpu=0\n"
    assert cluster.output(without) == "gpu=\n"
    assert "gres/gpu=1" in cluster.record(with_gpu)[-1]["AllocTRES"].split(",")
    assert "gpu" not in cluster.record(without)[-1]["AllocTRES"]


def test_two_gpu_jobs_run_on_two_nodes_and_a_third_waits(cluster: Cluster, release: Path):
    running = [cluster.sbatch(until(release), "--gpus=1") for _ in NODES]
    for job in running:
        cluster.wait(job, "RUNNING")
    third = cluster.sbatch("true", "--gpus=1")
    wait_until(
        lambda: cluster.run("squeue", "--noheader", f"--jobs={third}", "--format=%r").strip() == "Resources",
        "a reason to wait",
    )
    assert cluster.state(third) == "PENDING"
    release.touch()
    for job in (*running, third):
        cluster.wait(job, "COMPLETED")
    assert {cluster.record(job)[-1]["NodeList"] for job in running} == set(NODES)


def test_an_urgent_job_preempts_and_the_preempted_one_runs_again(cluster: Cluster, release: Path):
    job = cluster.sbatch(until(release) + "; echo restarts=$SLURM_RESTART_COUNT", "--gpus=1", "--nodelist=node1")
    cluster.wait(job, "RUNNING")
    urgent = cluster.sbatch("true", "--gpus=1", "--nodelist=node1", "--partition=urgent")
    cluster.wait(urgent, "COMPLETED")
    cluster.wait(job, "RUNNING")
    release.touch()
    cluster.wait(job, "COMPLETED")
    assert cluster.output(job) == "restarts=1\n"
    assert [row["State"] for row in cluster.record(job)] == ["PREEMPTED", "COMPLETED"]


def test_a_preempted_job_of_a_cancelling_partition_does_not_come_back(cluster: Cluster, release: Path):
    job = cluster.sbatch(until(release), "--gpus=1", "--nodelist=node1", "--partition=spot", "--requeue")
    cluster.wait(job, "RUNNING")
    urgent = cluster.sbatch("true", "--gpus=1", "--nodelist=node1", "--partition=urgent")
    cluster.wait(urgent, "COMPLETED")
    assert cluster.wait(job, "PREEMPTED") == "PREEMPTED"


def test_a_job_of_a_node_that_goes_down_runs_again_elsewhere(cluster: Cluster, release: Path):
    job = cluster.sbatch(until(release), "--gpus=1", "--requeue")
    cluster.wait(job, "RUNNING")
    try:
        cluster.set_node("node1", "down")
        assert cluster.nodes()["node1"] == "down"
        release.touch()
        cluster.wait(job, "COMPLETED")
    finally:
        cluster.set_node("node1", "resume")
    first, second = cluster.record(job)
    assert (first["NodeList"], first["State"]) == ("node1", "NODE_FAIL")
    assert (second["NodeList"], second["State"]) == ("node2", "COMPLETED")
    wait_until(lambda: cluster.nodes()["node1"] == "idle", "node1 to be idle again")


def test_a_job_of_a_lost_node_runs_twice_at_once(cluster: Cluster, release: Path, tmp_path: Path):
    beats = f"while [ ! -e {release} ]; do touch {tmp_path}/$SLURMD_NODENAME; sleep 0.1; done"
    job = cluster.sbatch(beats, "--gpus=1", "--requeue")
    cluster.wait(job, "RUNNING")
    cluster.lose_node("node1")
    try:
        wait_until((tmp_path / "node2").exists, "the second run to begin")
        (tmp_path / "node1").unlink()
        wait_until((tmp_path / "node1").exists, "a sign of the first run")
        assert cluster.state(job) == "RUNNING"
    finally:
        release.touch()
        cluster.return_node("node1")
    cluster.wait(job, "COMPLETED")
    assert [row["NodeList"] for row in cluster.record(job)] == ["node1", "node2"]


def test_a_job_over_its_memory_is_killed(cluster: Cluster):
    greedy = "python3 -c 'import time; much = bytearray(200_000_000); time.sleep(60)'"
    job = cluster.sbatch(greedy, "--mem=50")
    # Only cgroups make this OUT_OF_MEMORY; where memory is polled, the state is a plain FAILED.
    cluster.wait(job, "FAILED")
    assert "exceeded memory limit" in cluster.output(job)


def test_a_job_over_its_time_is_ended(cluster: Cluster, overdue: str):
    cluster.wait(overdue, "TIMEOUT", seconds=150)
    assert cluster.record(overdue)[-1]["State"] == "TIMEOUT"


def test_leaving_a_cluster_leaves_nothing_behind():
    folder = new_folder()
    with Cluster(folder) as other:
        job = other.sbatch("sleep 600")
        other.wait(job, "RUNNING")
        mark = f"SLURM_CONF={other.env['SLURM_CONF']}"
        assert processes_with(mark)
    assert not folder.exists()
    assert not processes_with(mark)


def test_a_cluster_of_a_killed_run_is_cleaned_up_by_the_next():
    script = (
        "import cluster, sys, time\n"
        "with cluster.Cluster(cluster.new_folder()) as c:\n"
        "    print(c.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=HERE, stdout=subprocess.PIPE, text=True) as run:
        folder = Path(run.stdout.readline().strip())
        run.kill()
    mark = f"SLURM_CONF={folder}/slurm.conf"
    assert processes_with(mark)
    new_folder().rmdir()
    assert not folder.exists()
    assert not processes_with(mark)


def processes_with(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "comm").read_text())
        except OSError:
            continue
    return found
