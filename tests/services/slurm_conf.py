"""The configuration files of the private SLURM cluster, as text."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.slurm import Cluster

HOOKS = ("jobcomp", "epilog", "epilogctld", "prologctld")


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def slurm_conf(one: Cluster, nodes: list[str]) -> str:
    """slurm.conf; a line KEY=VALUE of `extra_conf` replaces ours of that key, KEY= removes it."""
    host, folder, ports = _host(), one.folder, one.ports
    lines = f"""\
ClusterName=opus{ports["ctld"]}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports["ctld"]}
SlurmUser=root
SlurmdUser=root
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
# cred_expire is also how long a requeued job has to wait; 120 s where nobody sets it
AuthInfo=socket={folder}/run/munge.socket,cred_expire={one.requeue_wait}
CredType=cred/munge
PlugStackConfig={folder}/etc/plugstack.conf
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/ctld.own
SlurmdPidFile={folder}/run/%n.own
SlurmctldLogFile={folder}/log/ctld.log
SlurmdLogFile={folder}/log/%n.log
SlurmctldDebug=info
SlurmdDebug=info
LogTimeFormat=iso8601_ms
# neither cgroups nor more than one real processor are needed
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=50
PropagateResourceLimits=NONE
MailProg=/bin/true
MaxJobCount=50000
MinJobAge={one.min_job_age}
KillWait={one.kill_wait}
MessageTimeout={one.message_timeout}
SlurmctldTimeout=10
SlurmdTimeout={one.node_timeout}
UnkillableStepTimeout=20
ReturnToService=2
SchedulerType=sched/backfill
# start a job the moment it can be
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_interval=5,default_queue_depth=1000
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=0
EpilogMsgTime=0
JobCompType=jobcomp/script
JobCompLoc={folder}/hooks/jobcomp
Epilog={folder}/hooks/epilog
EpilogSlurmctld={folder}/hooks/epilogctld
PrologSlurmctld={folder}/hooks/prologctld
""".splitlines()
    if one.accounting:
        lines += f"""\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports["dbd"]}
AccountingStoragePass={folder}/run/munge.socket
AccountingStoreFlags=job_comment
TrackWCKey=yes
""".splitlines()
    own = re.findall(r"(?m)^(\w+)=", one.extra_conf)
    lines = [line for line in lines if line.partition("=")[0] not in own]
    lines += re.sub(r"(?m)^\w+=\s*$", "", one.extra_conf).splitlines()
    lines += [
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node]}"
        f" CPUs={one.cpus} RealMemory=4000 TmpDisk=1000"
        for node in nodes
    ]
    return "\n".join([*lines, partitions(nodes)])


def partitions(nodes: list[str]) -> str:
    """main: a site's default. short: one minute at most. low, lowrq: preempted by high (cancelled,
    requeued). down: jobs wait. inactive: jobs are refused. tiny: one node, so jobs soon wait."""
    every = f"Nodes={','.join(nodes)}"
    return f"""\
PartitionName=main     {every} DefaultTime=60 PriorityTier=5  PreemptMode=OFF Default=YES
PartitionName=short    {every} DefaultTime=1  PriorityTier=5  PreemptMode=OFF MaxTime=1
PartitionName=low      {every} DefaultTime=60 PriorityTier=1  PreemptMode=CANCEL
PartitionName=lowrq    {every} DefaultTime=60 PriorityTier=1  PreemptMode=REQUEUE
PartitionName=high     {every} DefaultTime=60 PriorityTier=10 PreemptMode=OFF
PartitionName=down     {every} DefaultTime=60 PriorityTier=5  State=DOWN
PartitionName=inactive {every} DefaultTime=60 PriorityTier=5  State=INACTIVE
PartitionName=tiny     Nodes={nodes[0]} DefaultTime=60 PriorityTier=5 PreemptMode=OFF
"""


# Not autodetect: that ends slurmd where /sys/fs/cgroup is empty. This one, unused, touches nothing.
CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"


def slurmdbd_conf(one: Cluster) -> str:
    folder = one.folder
    return f"""\
DbdHost={_host()}
DbdAddr=127.0.0.1
DbdPort={one.ports["dbd"]}
CommunicationParameters=NoInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
PidFile={folder}/run/dbd.own
LogFile={folder}/log/dbd.log
DebugLevel=info
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
CommitDelay=1
TrackWCKey=yes
"""


def hook(folder: Path, name: str) -> str:
    """What the daemons run: the test's own script, if there is one. If that fails, it fails."""
    return f"""\
#!/bin/sh
[ -x {folder}/hooks/{name}.local ] || exit 0
exec {folder}/hooks/{name}.local "$@" >>{folder}/log/{name}.out 2>&1
"""


def sshd_config(one: Cluster) -> str:
    """The limits on sessions stay at their defaults, which are a site's."""
    folder = one.folder
    return f"""\
{one.sshd_extra}
ListenAddress 127.0.0.1:{one.ports["sshd"]}
HostKey {folder}/ssh/host
PidFile {folder}/run/sshd.own
AuthorizedKeysFile {folder}/ssh/id.pub
AllowUsers {one.user}
UsePAM no
# the folder of a test is not a home folder
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
UseDNS no
SetEnv SLURM_CONF={folder}/etc/slurm.conf OPUS_TEST_LOGIN={folder}
Subsystem sftp internal-sftp
"""


def ssh_config(one: Cluster) -> str:
    return f"""\
Host {one.ssh_host}
  HostName 127.0.0.1
  Port {one.ports["sshd"]}
  User {one.user}
  IdentityFile {one.folder}/ssh/id
  IdentitiesOnly yes
  UserKnownHostsFile {one.folder}/ssh/known_hosts
  StrictHostKeyChecking yes
"""
