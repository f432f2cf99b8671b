"""One rank of gloo's all-reduce: arguments BYTES:WARMUPS:REPETITIONS, median seconds of each on rank 0's standard output."""
import sys
import time

import torch
import torch.distributed as dist

torch.set_num_threads(1)
dist.init_process_group("gloo", init_method="env://")
for case in sys.argv[1:]:
    size, warmups, repetitions = map(int, case.split(":"))
    buffer = torch.zeros(size // 4)
    for _ in range(warmups):
        dist.all_reduce(buffer)
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        dist.all_reduce(buffer)
        times.append(time.perf_counter() - start)
    if dist.get_rank() == 0:
        print(sorted(times)[len(times) // 2], flush=True)
dist.destroy_process_group()
