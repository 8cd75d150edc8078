import os
import subprocess
import sys

import pytest

# Threads that are there at once and hold memory, and how many heaps glibc says that there are.
COUNTED = """
import ctypes, os, sys, threading
from pipeline.core import threads as arenas
if sys.argv[1] == "few":
    arenas.one_a_core()
count = 3 * (os.cpu_count() or 1) + 8
libc, held, together = ctypes.CDLL(None), [], threading.Barrier(count)
libc.malloc.restype = libc.open_memstream.restype = ctypes.c_void_p
def hold():
    together.wait()
    held.append(libc.malloc(50_000))
    together.wait()
threads = [threading.Thread(target=hold) for _ in range(count)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
text, size = ctypes.c_char_p(), ctypes.c_size_t()
stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
libc.malloc_info(0, stream)
libc.fclose(stream)
print(text.value.decode().count("<heap nr="))
"""


def heaps(word: str, **variables: str) -> int:
    clean = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, word],
        env={**clean, **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="heaps are glibc's")
def test_threads_share_a_heap_a_core() -> None:
    cores = os.cpu_count() or 1
    assert heaps("many") > cores
    assert heaps("few") <= cores
    # What the user has set stays.
    assert heaps("few", MALLOC_ARENA_MAX=str(2 * cores)) > cores


# Page faults of arrays that come and go.
FAULTS = """
import resource, sys
from pipeline.core import threads as arenas
if sys.argv[1] == "kept":
    arenas.keep_freed()
import numpy as np
for turn in range(60):
    np.ones(1_000_000, np.uint8)
    if turn == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="thresholds are glibc's")
def test_arrays_in_a_worker_of_dask_are_not_mapped_anew() -> None:
    def faults(word: str, threshold: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, word],
            env={**os.environ, "MALLOC_TRIM_THRESHOLD_": threshold},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(done.stdout)

    assert faults("as it is", "65536") > 50 * 200
    assert faults("kept", "65536") < 1000
    # What somebody else has set stays.
    assert faults("kept", "65537") > 50 * 200
