# HAWPv3 in rounds: synthetic shapes -> training -> labels of the photographs, and again on those labels.
#
#     snakemake --profile profiles/local rounds=2        one machine
#     snakemake --profile slurm rounds=3                 a Slurm cluster, the published recipe
#
# Every target's name holds the digest of all that it is made from. The recipes behind the digests are written to
# recipes/ before anything runs, and the rules read only those: editing the configuration during a run changes nothing.

from snakemake.utils import min_version

min_version("9.0")


report: "report/workflow.rst"


if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/synthesize.smk"
include: "rules/own_labels.smk"
include: "rules/train.smk"
include: "rules/homoadp.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        RUN.targets(config.get("rounds"), PAGES),


# `rounds=N` as a target: what `--config rounds=N` asks for as well.
for n in range(RUN.most_rounds + 1):

    rule:
        name:
            f"rounds={n}"
        input:
            RUN.targets(n, PAGES),
        localrule: True
