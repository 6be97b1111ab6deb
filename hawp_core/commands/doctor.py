"""hawp doctor: what would fail, before the first job."""

import argparse

from tabulate import tabulate

from hawp_core.commands import argument_types, common
from hawp_core.workflow.settings import merged_settings

HELP = "say what would fail, before the first job"
DESCRIPTION = """Check this machine before a run: libraries, the working folder, free space, photographs, GPUs. With
--profile slurm also the cluster: plugin, partition, account, QOS, GPU type, memory and time against the partition's
limits, and, by a job of some seconds on a node, the shared folder, the Python environment, the clock, and whether
PyTorch sees the GPU there. Each fault is one sentence with its remedy, and the exit code is then 1."""
FAULTY = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "--profile", metavar="NAME", help="the Slurm profile that jobs are submitted with: slurm [none]"
    )
    parser.add_argument(
        "--wait", type=argument_types.positive(int, 86400), default=60, metavar="S",
        help="seconds to wait for a free node [%(default)s]",
    )  # fmt: skip
    common.add_run(parser)
    # What is not given is the profile's, which is read later.
    parser.set_defaults(config=[])


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.runtime.progress import log
    from hawp_core.workflow.machine_check import check_machine
    from hawp_core.workflow.slurm_check import Profile, check_cluster

    profile = Profile.read(args.profile) if args.profile else None
    usual = (profile and profile.configuration) or [common.DEFAULT_CONFIG]
    settings = merged_settings(common.named_run(args, usual)[0])
    checks = list(check_machine(settings, with_gpu=profile is None))
    if profile is not None:
        checks += check_cluster(profile, settings, args.wait)
    faults = [check.fault for check in checks if check.fault]
    if not faults:
        print(tabulate([(check.what, check.found) for check in checks], tablefmt="plain"))
        log.info("nothing that was looked at would fail")
        return
    print("\n".join(faults))
    raise SystemExit(FAULTY)
