"""All-reduce of floats between two processes through PyTorch and Gloo: answers `step N` with the seconds of one.

usage: gloo.py megabytes port
"""
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run(rank, megabytes, port, pipe):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    data = torch.zeros(megabytes * 1024 * 1024 // 4)
    count = torch.zeros(1, dtype=torch.int64)
    while True:
        if rank == 0:
            count[0] = pipe.recv()
        dist.broadcast(count, 0)
        if count.item() < 0:
            return
        start = time.perf_counter()
        for _ in range(count.item()):
            dist.all_reduce(data)
        if rank == 0:
            pipe.send((time.perf_counter() - start) / max(1, count.item()))


if __name__ == "__main__":
    here, there = mp.Pipe()
    ranks = [mp.Process(target=run, args=(r, int(sys.argv[1]), int(sys.argv[2]), there), daemon=True) for r in range(2)]
    for r in ranks:
        r.start()
    here.send(2)
    here.recv()
    print(f"ready torch {torch.__version__}", flush=True)
    for line in sys.stdin:
        here.send(int(line.split()[1]))
        print(repr(here.recv()), flush=True)
    here.send(-1)
    for r in ranks:
        r.join(5)
