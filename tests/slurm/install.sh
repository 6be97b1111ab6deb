#!/bin/sh
# Installs the Slurm that tests/slurm starts: Debian's packages, as root, and only where a program is missing.
# The packages' own services are not started: the tests run every daemon in a folder and on ports of their own.
set -eu

packages="munge slurmctld slurmd slurmdbd slurm-client mariadb-server"
programs="munged slurmctld slurmd slurmdbd sbatch sacct mariadbd mariadb-install-db"
PATH="$PATH:/usr/sbin"

missing=""
for program in $programs; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "install.sh: cannot install$missing: this needs root and apt-get" >&2
    exit 1
fi

# The policy file tells Debian's scripts to start no service; a policy that the machine already has stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # the list is meant to be split
apt-get install -qq -y --no-install-recommends $packages >/dev/null
