"""The configuration files of the test cluster, as texts that `cluster.py` fills with its folder and ports."""

# Without cgroups: processes are tracked through /proc, and memory is enforced by polling once a second.
# cred_expire: a requeued job waits until its old credential has expired, two minutes by default.
# config_overrides: the nodes together promise more CPUs than the machine has.
# The weights make node1 the first choice of a job that fits both.
# MinJobAge keeps Slurm's default: the driver asks `squeue` about jobs that have ended.
SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
MinJobAge=300
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge/socket
AccountingStorageTRES=gres/gpu
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node1} CPUs=4 RealMemory=8000 Gres=gpu:1 Weight=1
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node2} CPUs=4 RealMemory=8000 Gres=gpu:1 Weight=2
PartitionName=gpu Nodes=node[1-2] Default=YES MaxTime=60 PriorityTier=1
PartitionName=urgent Nodes=node[1-2] MaxTime=60 PriorityTier=2 PreemptMode=OFF
PartitionName=spot Nodes=node[1-2] MaxTime=60 PriorityTier=1 PreemptMode=CANCEL
"""

GRES_CONF = "NodeName=node[1-2] Name=gpu File=/dev/null\n"

SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mysql}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""

DATABASE = """
CREATE DATABASE IF NOT EXISTS slurm;
CREATE USER IF NOT EXISTS slurm IDENTIFIED BY 'slurm';
GRANT ALL ON slurm.* TO slurm;
"""

# Snakemake's job step strips the SLURM_CONF that a cluster outside /etc/slurm needs, so its commands bring it along.
COMMAND = """#!/bin/sh
SLURM_CONF={conf} exec {program} "$@"
"""
