"""The remedy for a device that only root may use, pasted for real, in a mount namespace with an /etc of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dsm.cli.findings import userfaultfd
from tests.cli.test_findings import CLOSED_DEVICE, USER, WELL

# No capability but to read any directory, since Python may be installed where only root can look.
SCRIPT = """
set -eu
export PATH="{directory}/bin:/usr/sbin:/sbin:$PATH"
cp -a /etc {directory}/etc && mount --bind {directory}/etc /etc
mknod -m 0600 {directory}/device c $(stat -c '0x%t 0x%T' /dev/userfaultfd | xargs printf '%d %d')
mount --bind {directory}/device /dev/userfaultfd
mode() {{
    setpriv --reuid daemon --regid daemon --init-groups --bounding-set -all,+dac_read_search \\
        --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search \\
        {python} -B -c 'from dsm.memory.faults import probe; print(probe().mode)'
}}
mode
{remedy}
mode
"""


@pytest.mark.needs("root", "namespaces", "userfaultfd")
def test_the_remedy_gives_an_ordinary_user_full_userfaultfd(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin/sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    planted = replace(WELL, user="daemon", support=USER, device=CLOSED_DEVICE)
    *remedy, last = userfaultfd(planted).remedy
    assert last == "newgrp userfaultfd"  # a shell of its own; setpriv takes the groups anew in its place
    script = SCRIPT.format(directory=tmp_path, python=sys.executable, remedy="\n".join(remedy))
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    modes = [line for line in done.stdout.splitlines() if line in ("None", "user", "full")]
    assert modes[0] != "full"
    assert modes[1] == "full"
