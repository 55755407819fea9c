#!/usr/bin/env bash
# The measurement plan for a machine with a graphics card:
#
#     bash benches/on-a-card.sh [PROGRAM] [FOLDER]
#
# PROGRAM: a release build (default target/release/epistemap). FOLDER: where the results go (default on-a-card). First whether the answers
# are right, which ends the run if they are not; then times; then PyTorch on the same card, where TORCH names ../shared/bench/torch_map.py
# and a Python with CUDA is at hand (PYTHON, default python3). ENGINES, GRIDS and SAMPLES may be set to measure less.
set -euo pipefail
program=${1:-target/release/epistemap}
out=${2:-on-a-card}
engines=${ENGINES:-"gpu gpu-f16 gpu-matrix"}
grids=${GRIDS:-"64 128 256 512"}
samples=${SAMPLES:-"1 10 200"}
mkdir -p "$out"

say() { echo "== $*" >&2; }

say "devices"
"$program" devices | tee "$out/devices.txt"
if command -v nvidia-smi >/dev/null; then nvidia-smi >"$out/nvidia-smi.txt"; fi

say "right?"
"$program" compare --engines gpu,cpu --grid 64 --members 2 | tee "$out/compare-gpu.txt"
"$program" compare --engines gpu,cpu --grid 32 --members 2 --masks per-point | tee "$out/compare-per-point.txt"
working=gpu
for engine in $engines; do
    if [ "$engine" = gpu ]; then continue; fi
    # An adapter without 16-bit floats or matrix units has no such engine.
    if "$program" compare --engines "$engine,cpu" --grid 64 --members 2 --tolerance 2e-3 2>"$out/compare-$engine.err" | tee "$out/compare-$engine.txt"; then
        working="$working $engine"
    else
        say "$engine is left out: $(cat "$out/compare-$engine.err")"
    fi
done
"$program" bench requests --engine gpu --requests 500 --json | tee "$out/requests.json"

say "fast?"
for engine in $working; do
    for grid in $grids; do
        "$program" bench map --engine "$engine" --grid "$grid" --members 5 --json | tee "$out/map-$engine-$grid.json"
    done
    for draws in $samples; do
        "$program" bench map --engine "$engine" --grid 256 --samples "$draws" --members 5 --json | tee "$out/map-$engine-256-T$draws.json"
    done
    # Once more, warm: shaders are compiled by now, where the driver keeps them.
    "$program" bench map --engine "$engine" --grid 256 --members 5 --json | tee "$out/map-$engine-256-warm.json"
done
"$program" bench map --engine cpu --grid 128 --members 5 --json | tee "$out/map-cpu-128.json"

if [ -n "${TORCH:-}" ]; then
    say "PyTorch"
    for precision in "" "--tf32" "--tf32 --compile"; do
        # shellcheck disable=SC2086 # a list of words
        "${PYTHON:-python3}" "$TORCH" --grid 256 --members 5 --device cuda --batch 4096 --ways dropout,shared $precision |
            tee "$out/torch${precision// /}.txt"
    done
fi
say "done: the results are in $out"
