"""Files are replaced whole, also where the user is not root."""

import os
import subprocess
import sys

import pytest
from checkouts import without_privileges

LINK = "import sys; from pathlib import Path; from hawp_core.runtime.files import link; link(Path('model.pth'), Path(sys.argv[1]))"


@pytest.mark.parametrize("there", [False, True])
def test_a_finished_file_that_nobody_may_write_gets_a_second_name(tmp_path, there):
    if os.geteuid() == 0 and not without_privileges():
        pytest.skip("root may write everything, and setpriv is not here")
    model = tmp_path / "model.pth"
    model.write_text("weights")
    model.chmod(0o444)
    if there:
        (tmp_path / "other.pth").write_text("older")
    done = subprocess.run(
        [*without_privileges(), sys.executable, "-c", LINK, "other.pth"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "other.pth").samefile(model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pth", "other.pth"]
