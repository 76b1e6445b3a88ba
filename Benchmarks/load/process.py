"""CPU time and memory of a server: summed over its processes, their children and threads."""

import os
from pathlib import Path


def children():
    """Process to its children, for all processes."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            found.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    return found


def tree(roots):
    below, found, waiting = children(), [], list(roots)
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += below.get(process, [])
    return found


class Usage:
    """A point in time of a server's use; the difference of two is what was used between."""

    def __init__(self, roots):
        self.cpu_ms = self.pss_kb = 0.0
        for process in tree(roots):
            self.cpu_ms += self._cpu(process)
            self.pss_kb += self._pss(process)

    @staticmethod
    def _cpu(process):
        """Nanoseconds of the scheduler: user and system time in /proc/PID/stat only have steps of 10 ms. Threads that
        have ended are only in the latter, so the larger counts."""
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            coarse = (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")
            fine = 0.0
            for task in Path(f"/proc/{process}/task").iterdir():
                try:
                    fine += int((task / "schedstat").read_text().split()[0]) / 1e6
                except (OSError, ValueError, IndexError):
                    continue
            return max(coarse, fine)
        except OSError:
            return 0.0

    @staticmethod
    def _pss(process):
        """Memory in which shared pages count once: the fair figure for a server of many processes. Without the pages of
        files: those depend on who else runs the same program."""
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'} × {len(names) or os.cpu_count()}, load {os.getloadavg()[0]:.1f}"
