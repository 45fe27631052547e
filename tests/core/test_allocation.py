from __future__ import annotations

import ctypes
import subprocess
import sys

from opus_core.allocation import give_back

# Threads that use some 10 MiB one after the other, in small pieces, and stay.
USE = """
import sys, threading
from lxml import etree
from opus_core.allocation import give_back
if sys.argv[1] == "yes":
    give_back()

def use(used):
    root = etree.Element("a")
    for _ in range(40_000):
        etree.SubElement(root, "b").text = "c" * 20
    del root
    used.set()
    done.wait()

done = threading.Event()
for _ in range(24):
    used = threading.Event()
    threading.Thread(target=use, args=(used,)).start()
    used.wait()
print(open("/proc/self/status").read().partition("VmRSS:")[2].split()[0])
done.set()
"""


def resident(told):
    """What they leave [KiB], with the C library told or not."""
    command = [sys.executable, "-c", USE, told]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_what_threads_have_used_one_after_the_other_is_not_kept_for_each():
    assert resident("yes") < resident("no") + 5000


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    give_back()
