#!/usr/bin/env python3
"""Runs the shards of an epistemap line as Ray tasks, and merges them.

    python shards.py --shards 8 --out map.npz [--scores FILE] [--parts DIR] -- epistemap map --grid 128 --members 2 --engine cpu

DIR is a folder that all nodes see; parts that are there are left alone. A shard that fails is tried twice more.
"""
import argparse, pathlib, subprocess
import ray

arguments = argparse.ArgumentParser()
arguments.add_argument("--shards", type=int, required=True)
arguments.add_argument("--out", required=True)
arguments.add_argument("--scores", help="where the scores of detect go")
arguments.add_argument("--parts", type=pathlib.Path, default=pathlib.Path("parts"))
arguments.add_argument("line", nargs="+")
arguments = arguments.parse_args()


@ray.remote(max_retries=2, retry_exceptions=True)
def shard(number):
    part = arguments.parts / f"{number}.part"
    if not part.exists():
        subprocess.run([*arguments.line, "--shard", f"{number}/{arguments.shards}", "--out", str(part)], check=True)
    return str(part)


arguments.parts = arguments.parts.absolute()
arguments.parts.mkdir(parents=True, exist_ok=True)
ray.init(log_to_driver=False)
parts = ray.get([shard.remote(number) for number in range(1, arguments.shards + 1)])
scores = ["--scores", arguments.scores] if arguments.scores else []
subprocess.run([arguments.line[0], "merge", *parts, "--out", arguments.out, *scores], check=True)
print(f"{arguments.out}: {arguments.shards} shards")
