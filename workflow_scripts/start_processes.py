"""Start a stage in as many processes as its job has GPUs: one, several on one machine, or several on several nodes.

python -m workflow_scripts.start_processes --gpus 4 --nodes 1 --threads 8 train_intra --settings ...

The rules call stages that can divide their work by this; how many GPUs and nodes there are stands in the profile.
A single process is the stage itself, as if it had been called. Several are started by torchrun, and on more than one
node by srun and torchrun.
"""

import argparse
import os
import runpy
import subprocess
import sys

from anatomical_embedding.errors import SettingsError, UserError

FIRST_PORT, NUM_PORTS = 20000, 10000
"""Ports at which processes of several nodes meet; below those that systems give to outgoing connections."""


def main(arguments: list[str]) -> None:
    """Run the stage, or become the program that does."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, required=True, help="of the whole job; 0 is one process as well")
    parser.add_argument("--nodes", type=int, required=True, help="among which the GPUs are divided equally")
    parser.add_argument("--threads", type=int, required=True, help="cores of a node")
    parser.add_argument("stage", help="module of workflow_scripts")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the stage")
    options = parser.parse_args(arguments)
    if options.nodes <= 1 and options.gpus <= 1:
        sys.argv[1:] = options.arguments
        runpy.run_module(f"workflow_scripts.{options.stage}", run_name="__main__", alter_sys=True)
        return
    try:
        command = command_of(
            options.stage,
            options.arguments,
            gpus=options.gpus,
            nodes=options.nodes,
            threads=options.threads,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    # What torchrun would set to 1, with a warning in every log.
    cores = max(1, options.threads * options.nodes // options.gpus)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores))
    # What starts the processes takes this one over, so that a signal to the job reaches it.
    os.execvp(command[0], command)  # noqa: S606


def command_of(stage: str, arguments: list[str], *, gpus: int, nodes: int, threads: int) -> list[str]:
    """Return the command that runs a stage in one process per GPU, of several.

    Parameters
    ----------
    stage, arguments : module of `workflow_scripts` and its command line.
    gpus : of the whole job.
    nodes : among which the GPUs are divided equally.
    threads : cores of a node.

    Raises
    ------
    SettingsError
        if the GPUs can't be divided equally, or there are several nodes and this is not a SLURM job.

    Examples
    --------
    >>> command_of("train_intra", ["--help"], gpus=4, nodes=1, threads=8)[2:]
    ['torch.distributed.run', '--standalone', '--nproc-per-node', '4', '-m', 'workflow_scripts.train_intra', '--help']
    """
    run = ["-m", f"workflow_scripts.{stage}", *arguments]
    if nodes > 1:
        return [*_start_on_nodes(gpus=gpus, nodes=nodes, threads=threads), *run]
    return [*_torchrun("--standalone", num_processes=gpus), *run]


def _start_on_nodes(*, gpus: int, nodes: int, threads: int) -> list[str]:
    """Return the words that start torchrun on every node of this job."""
    if gpus < nodes or gpus % nodes:
        raise SettingsError(
            f"{gpus} GPUs can't be divided equally among {nodes} nodes; set the resource gpu, which counts those of "
            "all nodes, to a multiple of the resource nodes"
        )
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        raise SettingsError(
            f"the resource nodes is {nodes}, but this is not a SLURM job; set gpu alone on one machine"
        )
    # Snakemake takes SLURM_JOB_NODELIST out of the environment of its jobs.
    named = _output_of("squeue", "--noheader", f"--jobs={job}", "--format=%N")
    first_node = _output_of("scontrol", "show", "hostnames", named).split()[0]
    port = FIRST_PORT + int(job) % NUM_PORTS
    one_a_node = [
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={threads}",
    ]
    meeting = [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-id={job}"]
    return [
        *("srun", *one_a_node, f"--gpus-per-node={gpus // nodes}", "--kill-on-bad-exit=1"),
        *_torchrun(*meeting, f"--rdzv-endpoint={first_node}:{port}", num_processes=gpus // nodes),
    ]


def _torchrun(*options: str, num_processes: int) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run"),
        *(*options, "--nproc-per-node", str(num_processes)),
    ]


def _output_of(*command: str) -> str:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")  # noqa: S603
    return done.stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
