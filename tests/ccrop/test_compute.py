"""What a run costs."""

import os
import subprocess
import sys
import time

from ccrop.compute import core_seconds


def test_core_seconds_count_work_here_and_in_children_and_no_waiting():
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    start = core_seconds()
    while (here := core_seconds() - start) < 0.2:
        pass
    time.sleep(0.3)
    assert core_seconds() - start < here + 0.1
    subprocess.run([sys.executable, "-c", busy], check=True, env=os.environ)
    assert 0.4 < core_seconds() - start - here < 3  # CPU time is counted in hundredths
