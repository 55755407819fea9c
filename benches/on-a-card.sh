#!/usr/bin/env bash
# The measurement plan for a machine with a graphics card:
#
#     bash benches/on-a-card.sh [--small] [PROGRAM] [FOLDER]
#
# PROGRAM: a release build (default target/release/epistemap). FOLDER: where the results go (default on-a-card). First whether the answers
# are right, which ends the run if they are not; then times; then the overrides of `benches/README.md`, one at a time; then PyTorch on the same
# card, where TORCH names ../shared/bench/torch_map.py and a Python with CUDA is at hand (PYTHON, default python3). The summary of all times is
# FOLDER/summary.tsv. ENGINES, GRIDS, SAMPLES, MEMBERS, SWEEP (a list of words such as TURN=4 TILE=8x8) and SWEPT (its engines) may be set to
# measure less.
# --small: tiny maps, which show on a software adapter that the script runs through; their times say nothing of a card.
set -euo pipefail
if [ "${1:-}" = --small ]; then
    shift
    GRIDS=${GRIDS:-4} SAMPLES=${SAMPLES:-1} MEMBERS=${MEMBERS:-2} LARGE=6 CHECKED=4 REQUESTS=20 SWEPT=${SWEPT:-gpu}
    SWEEP=${SWEEP:-"BYTES=1048576 TURN=1 RATE=1 TILE=8x4 DEPTH=32 SPLITK=1 AHEAD=0"}
fi
program=${1:-target/release/epistemap}
out=${2:-on-a-card}
engines=${ENGINES:-"gpu gpu-f16 gpu-matrix"}
grids=${GRIDS:-"64 128 256 512"}
samples=${SAMPLES:-"1 10 200"}
members=${MEMBERS:-5}
large=${LARGE:-256}
checked=${CHECKED:-64}
sweep=${SWEEP:-"BYTES=67108864 BYTES=268435456 BYTES=4294967296 TURN=2 TURN=4 TURN=16 TURN=32 RATE=500 RATE=10000 RATE=40000
    TILE=4x16 TILE=8x8 TILE=16x8 TILE=16x16 TILE=4x32 DEPTH=8 DEPTH=32 SPLITK=1 SPLITK=4 SPLITK=8 SPLITK=32 AHEAD=0 AHEAD=1 AHEAD=4"}
mkdir -p "$out"

say() { echo "== $*" >&2; }

# A number of a result, by its key.
value() { sed -n "s/^  \"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" "$1"; }

# A map as JSON in a file of that name, and its line in the summary. An engine that fell back to the CPU measures nothing.
measure() {
    local name=$1 engine=$2 file="$out/$1.json"
    shift 2
    if ! "$program" bench map --engine "$engine" "$@" --json >"$file" 2>"$out/$name.err" || [ "$(value "$file" engine)" != "$engine" ]; then
        say "$name: not measured: $(tr '\n' ' ' <"$out/$name.err")"
        printf '%s\t%s\tnot measured\n' "$name" "$engine" >>"$out/summary.tsv"
        return 0
    fi
    local line="$name\t$engine" key
    for key in seconds ms_per_point first_picture_ms arithmetic_gflops share_of_peak kernels_share_of_time points_together submissions \
        profiled_points megabytes_read_back; do
        line+="\t$(value "$file" "$key")"
    done
    printf '%b\n' "$line" | tee -a "$out/summary.tsv"
}

say "devices"
"$program" devices | tee "$out/devices.txt"
if command -v nvidia-smi >/dev/null; then nvidia-smi >"$out/nvidia-smi.txt"; fi

say "right?"
"$program" compare --engines gpu,cpu --grid "$checked" --members 2 | tee "$out/compare-gpu.txt"
"$program" compare --engines gpu,cpu --grid $(((checked + 1) / 2)) --members 2 --masks per-point | tee "$out/compare-per-point.txt"
working=
for engine in $engines; do
    # An adapter without 16-bit floats or matrix units has no such engine.
    if [ "$engine" = gpu ] ||
        "$program" compare --engines "$engine,cpu" --grid "$checked" --members 2 --tolerance 2e-3 2>"$out/compare-$engine.err" |
        tee "$out/compare-$engine.txt"; then
        working="$working $engine"
    else
        say "$engine is left out: $(cat "$out/compare-$engine.err")"
    fi
done
"$program" bench requests --engine gpu --requests "${REQUESTS:-500}" --json | tee "$out/requests.json"

say "fast?"
printf 'name\tengine\tseconds\tms a point\tfirst picture, ms\tGFLOP/s\tshare of peak\tkernels / time\tpoints together\tsubmissions a block\tpoints of it\tMB back of it\n' |
    tee "$out/summary.tsv"
for engine in $working; do
    for grid in $grids; do
        measure "map-$engine-$grid" "$engine" --grid "$grid" --members "$members"
    done
    for draws in $samples; do
        measure "map-$engine-$large-T$draws" "$engine" --grid "$large" --samples "$draws" --members "$members"
    done
    # Once more, warm: shaders are compiled by now, where the driver keeps them.
    measure "map-$engine-$large-warm" "$engine" --grid "$large" --members "$members"
done
measure map-cpu cpu --grid "$large" --members "$members"

say "overrides"
for engine in ${SWEPT:-$working}; do
    for override in $sweep; do
        (
            export "EPISTEMAP_GPU_$override"
            measure "sweep-$engine-${override/=/-}" "$engine" --grid "$large" --members "$members"
        )
    done
    # Against a drift of the card's clock.
    measure "sweep-$engine-none" "$engine" --grid "$large" --members "$members"
done

if [ -n "${TORCH:-}" ]; then
    say "PyTorch"
    for precision in "" "--tf32" "--tf32 --compile"; do
        # shellcheck disable=SC2086 # a list of words
        "${PYTHON:-python3}" "$TORCH" --grid "$large" --members "$members" --device cuda --batch 4096 --ways dropout,shared $precision |
            tee "$out/torch${precision// /}.txt"
    done
fi
say "done: the results are in $out"
