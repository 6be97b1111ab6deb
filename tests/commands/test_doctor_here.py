"""`hawp doctor` says what would fail on this machine, one sentence a fault."""

import contextlib
import sys

import pytest
import torch
import yaml

from hawp_core.commands import cli
from hawp_core.workflow import slurm_check
from hawp_core.workflow.machine_check import check_libraries
from hawp_core.workflow.slurm_check import minutes
from hawp_core.workflow.slurm_profile import Profile


def test_a_machine_that_fits_is_a_table(workplace, photographs, capsys):
    assert cli.main(["doctor", "--config", "config/config.yaml", f"photographs={{folder: {photographs}}}"]) == 0
    printed = capsys.readouterr()
    rows = [line.split("  ")[0] for line in printed.out.splitlines()]
    assert "nothing that was looked at would fail" in printed.err
    assert rows == ["libraries", "working folder", "free space", "photographs", "GPUs"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_every_fault_is_a_sentence_with_its_remedy(workplace, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(
            ["doctor", "--config", "config/config.yaml", "photographs={folder: nowhere}", "compute={device: cuda}"]
        )
    assert ended.value.code == 1
    missing, gpu = capsys.readouterr().out.splitlines()
    assert missing.startswith("photographs.folder is nowhere") and "name that of your photographs" in missing
    assert "cuda was asked for and PyTorch sees no GPU here" in gpu


def test_one_extra_is_named_that_brings_all_that_is_missing(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "h5py is not installed and comes with the extra 'train'" in check_libraries(tiny).fault
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'hawp-rounds[report]'" in check_libraries(tiny).fault


@pytest.mark.parametrize(
    ("words", "said"), [("nothing", "no profile nothing here"), ("local", "submits nothing to Slurm")]
)
def test_a_profile_that_is_none_of_slurm_is_one_sentence(workplace, capsys, words, said):
    (workplace / "profiles" / "local").mkdir(parents=True)
    (workplace / "profiles" / "local" / "config.yaml").write_text("cores: all\n")
    assert cli.main(["doctor", "--profile", words]) == 2
    assert said in capsys.readouterr().err


def test_a_profile_is_read_as_snakemake_reads_it(workplace):
    (workplace / "slurm").mkdir()
    forms = [
        {"default-resources": {"slurm_partition": "gpu"}, "set-resources": {"train": {"gpu_model": "a100"}}},
        {"default-resources": ["slurm_partition=gpu"], "set-resources": ["train:gpu_model=a100"]},
    ]
    for form in forms:
        (workplace / "slurm" / "config.yaml").write_text(yaml.safe_dump({"executor": "slurm", **form}))
        profile = Profile.read("slurm")
        assert profile.text("slurm_partition", "train") == "gpu"
        assert profile.text("gpu_model", "train") == "a100" and profile.text("gpu_model") is None


def test_a_setting_on_the_line_is_laid_over_the_profiles_configuration(workplace, monkeypatch):
    (workplace / "slurm").mkdir()
    (workplace / "slurm" / "config.yaml").write_text(yaml.safe_dump({"executor": "slurm", "configfile": "mine.yaml"}))
    (workplace / "mine.yaml").write_text("name: mine\n")
    checked = []
    monkeypatch.setattr(slurm_check, "check_cluster", lambda profile, settings, wait: checked.append(settings) or [])
    with contextlib.suppress(SystemExit):
        cli.main(["doctor", "--profile", "slurm", "--config", "compute={threads: 2}"])
    assert [(settings.name, settings.compute.threads) for settings in checked] == [("mine", 2)]


@pytest.mark.parametrize(("text", "expected"), [("01:00:00", 60), ("2-00:30:00", 2910), ("UNLIMITED", None)])
def test_slurms_time_limits_are_minutes(text, expected):
    assert minutes(text) == expected
