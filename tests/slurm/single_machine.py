"""A real SLURM on this machine alone: two virtual nodes with two fake GPUs each, and accounting.

python -m tests.slurm.single_machine start     installs what is missing and starts the daemons
python -m tests.slurm.single_machine stop      ends them and removes what they wrote

It needs root on Debian or a relative of it. Everything lies in one folder; only links to its configuration go into
/etc/slurm (Snakemake takes SLURM_CONF out of the environment of its jobs), and the names of the nodes into /etc/hosts.
A machine that has a SLURM configuration of its own is left alone.
"""

import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path("/var/lib/anatomical-embedding-slurm")
CONFIGURATION_FOLDER = Path("/etc/slurm")
CONFIGURATION_FILES = ("slurm.conf", "slurmdbd.conf", "gres.conf")
NODES = ("n1", "n2")
GPUS_PER_NODE = 2
ACCOUNT = "research"
PACKAGES = ("slurm-wlm", "munge", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server")
DAEMON_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts daemons; a user's search path often leaves these folders out."""
PROGRAMS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "sbatch")
HOSTS_LINE = "127.0.0.1 n1 n2 # anatomical-embedding-slurm\n"
HOSTS = Path("/etc/hosts")
START_SECONDS = 60.0
NULL_DEVICE = (1, 3)
"""Device numbers of /dev/null, which stands for a GPU."""

SLURM_CONF = """
ClusterName=single
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldPort=16817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
ReturnToService=1
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
KillWait=2
MpiDefault=none
# On a crowded machine a node may not answer within the usual 10 seconds, and would count as failed.
MessageTimeout=60
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17001 CPUs=8 RealMemory=64000 Gres=gpu:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=17002 CPUs=8 RealMemory=64000 Gres=gpu:2
PartitionName=cpu Nodes=n1,n2 Default=YES MaxTime=INFINITE DefMemPerCPU=500
PartitionName=gpu Nodes=n1,n2 MaxTime=INFINITE DefMemPerCPU=500
"""
SLURMDBD_CONF = """
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StorageType=accounting_storage/mysql
StorageUser=root
StorageLoc=accounting
StorageHost=localhost
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
"""


class CannotInstallError(Exception):
    """The packages of SLURM can't be had on this machine."""


def obstacle() -> str | None:
    """Return why no SLURM can be started here, or None if it can."""
    if os.geteuid() != 0:
        return "a single-machine SLURM needs root"
    own = CONFIGURATION_FOLDER / "slurm.conf"
    if own.exists() and not own.resolve().is_relative_to(FOLDER):
        return f"this machine has a SLURM configuration of its own, {own}"
    if any(shutil.which(program) is None for program in PROGRAMS) and shutil.which("apt-get") is None:
        return "SLURM is not installed and there is no apt-get to install it"
    return None


def start() -> None:
    """Install what is missing and start all daemons.

    Raises
    ------
    CannotInstallError
        if the packages can't be had here.
    RuntimeError
        if a daemon does not come up; the message names its log.
    """
    stop()
    os.environ["PATH"] = os.pathsep.join((os.environ["PATH"], *DAEMON_FOLDERS))
    _install()
    FOLDER.mkdir(parents=True)
    FOLDER.chmod(0o755)
    (FOLDER / "controller").mkdir()
    _write_configuration()
    _start_munge()
    _start_database()
    _run("slurmdbd")
    _wait_for(["sacctmgr", "-n", "show", "cluster"], log="slurmdbd.log")
    for words in ("cluster single", f"account {ACCOUNT}", f"user root account={ACCOUNT}"):
        _run("sacctmgr", "-i", "add", *words.split())
    _run("slurmctld")
    for node in NODES:
        (FOLDER / node).mkdir()
        start_node(node)
    _wait_for(["sh", "-c", "test $(sinfo -h -N -t idle -p gpu | wc -l) = 2"], log="")


def stop() -> None:
    """End the daemons that `start` began, by their process ids, and remove what they wrote."""
    if FOLDER.exists():
        if (FOLDER / "slurmctld.pid").exists():
            subprocess.run(["scancel", "--user=root"], check=False, capture_output=True, timeout=20)
        for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "slurmdbd", "mariadb", "munge"):
            _end(FOLDER / f"{name}.pid")
        shutil.rmtree(FOLDER)
        for name in CONFIGURATION_FILES:
            (CONFIGURATION_FOLDER / name).unlink(missing_ok=True)
    text = HOSTS.read_text(encoding="utf-8")
    if HOSTS_LINE in text:
        HOSTS.write_text(text.replace(HOSTS_LINE, ""), encoding="utf-8")


def start_node(node: str) -> None:
    """Start the daemon of a node."""
    _run("slurmd", "-N", node)


def cut_off_node(node: str) -> None:
    """End the daemon of a node; what runs there goes on, and nobody hears of it."""
    _end(FOLDER / f"slurmd-{node}.pid")


def _install() -> None:
    if all(shutil.which(program) for program in PROGRAMS):
        return
    options = ["-qq", "--no-install-recommends"]
    try:
        _run("apt-get", "update", "-qq")
        _run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", *options, *PACKAGES)
    except RuntimeError as failure:
        raise CannotInstallError(f"SLURM's packages can't be installed here: {failure}") from failure


def _write_configuration() -> None:
    host = socket.gethostname().split(".")[0]
    (FOLDER / "slurm.conf").write_text(SLURM_CONF.format(folder=FOLDER, host=host), encoding="utf-8")
    database = FOLDER / "slurmdbd.conf"
    database.write_text(SLURMDBD_CONF.format(folder=FOLDER), encoding="utf-8")
    database.chmod(0o600)
    for number in range(GPUS_PER_NODE):
        os.mknod(FOLDER / f"gpu{number}", 0o666 | stat.S_IFCHR, os.makedev(*NULL_DEVICE))
    gpus = f"NodeName=n[1-2] Name=gpu File={FOLDER}/gpu[0-{GPUS_PER_NODE - 1}]\n"
    (FOLDER / "gres.conf").write_text(gpus, encoding="utf-8")
    CONFIGURATION_FOLDER.mkdir(exist_ok=True)
    for name in CONFIGURATION_FILES:
        (CONFIGURATION_FOLDER / name).symlink_to(FOLDER / name)
    with HOSTS.open("a", encoding="utf-8") as stream:
        stream.write(HOSTS_LINE)


def _start_munge() -> None:
    key = FOLDER / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    options = [f"--socket={FOLDER}/munge.socket"]
    options += [f"--{name}-file={FOLDER}/munge.{name}" for name in ("seed", "log", "pid")]
    _run("munged", "--force", f"--key-file={key}", *options)


def _start_database() -> None:
    data = FOLDER / "database"
    data.mkdir()
    shutil.chown(data, "mysql", "mysql")
    common = ["--no-defaults", f"--datadir={data}", "--user=mysql"]
    _run("mariadb-install-db", *common, "--auth-root-authentication-method=socket", "--skip-test-db")
    socket_path = "/run/mysqld/mysqld.sock"
    Path("/run/mysqld").mkdir(exist_ok=True)
    shutil.chown("/run/mysqld", "mysql", "mysql")
    command = shlex.join(["mariadbd", *common, "--skip-networking", f"--socket={socket_path}"])
    log = FOLDER / "mariadb.log"
    _run("sh", "-c", f"setsid {command} > {log} 2>&1 & echo $! > {FOLDER}/mariadb.pid")
    _wait_for(["mariadb", "-e", "select 1"], log="mariadb.log")


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")


def _wait_for(command: list[str], *, log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(command, check=False, capture_output=True).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{' '.join(command)} never succeeded; see {FOLDER / log}")
        time.sleep(0.2)


def _end(pid_file: Path) -> None:
    try:
        process = int(pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    for sent in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 10
        try:
            os.kill(process, sent)
            while time.monotonic() < deadline:
                os.kill(process, 0)
                _reap(process)
                time.sleep(0.05)
        except ProcessLookupError:
            return


def _reap(process: int) -> None:
    """Take the exit status of a child, so that it does not stay behind as a zombie that looks alive."""
    try:
        os.waitpid(process, os.WNOHANG)
    except ChildProcessError:
        pass


if __name__ == "__main__":
    if sys.argv[1:] == ["start"]:
        start()
    elif sys.argv[1:] == ["stop"]:
        stop()
    else:
        sys.exit(__doc__)
