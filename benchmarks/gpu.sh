#!/usr/bin/env bash
# Everything that a GPU machine is asked for, in one call, meant to stay under ten minutes: speed beside the reference, agreement of
# half precision, and the real commands. Prints tables for benchmarks/RESULTS.md and fills hawp_core/workflow/rates.json.
#
#   benchmarks/gpu.sh [WORK TREE OF THE REFERENCE]
#   benchmarks/gpu.sh --dry        # on a CPU, with the smallest network: a check that the script runs
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-$( [ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ "${1:-}" = --dry ]; then
    tiny=(--tiny --rounds 1) quick=(--tiny) device=(--device cpu) reference=() amount=(--shapes 2 --photographs 4 --workers 0) rates=()
else
    "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' \
        || { echo "PyTorch sees no GPU here: run it where there is one, or benchmarks/gpu.sh --dry" >&2; exit 1; }
    tiny=() quick=() device=(--device cuda) reference=(${1:+--reference "$1"})
    amount=(--shapes 500 --epochs 2 --photographs 1000) rates=(--write-rates)
fi
model=.bench/round0.pth
mkdir -p .bench

echo "## The real commands"
"$PYTHON" benchmarks/pipeline.py "${quick[@]}" "${device[@]}" "${amount[@]}" "${rates[@]}" --keep "$model"
echo "## Side by side"
"$PYTHON" benchmarks/bench.py "${tiny[@]}" "${device[@]}" "${reference[@]}" --only label train field loading memory
echo "## Training, and the field, compiled"
"$PYTHON" benchmarks/bench.py "${tiny[@]}" "${device[@]}" --only train field --compile
echo "## Half precision against float32, with the model just trained"
"$PYTHON" benchmarks/bench.py "${tiny[@]}" "${device[@]}" --only precision --ckpt "$model"
