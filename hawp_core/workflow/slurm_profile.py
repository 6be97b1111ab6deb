"""What a Snakemake profile and the rules ask of Slurm."""

from dataclasses import dataclass
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_yaml
from hawp_core.runtime.setting_types import Settings


@dataclass(frozen=True)
class Demand:
    """What a rule asks of Slurm for one job: `gpus` and `memory` (MB) on each node, and minutes."""

    rule: str
    setting: str
    gpus: int
    memory: int
    minutes: int
    model: str | None
    partition: str | None


@dataclass(frozen=True)
class Profile:
    """What a Snakemake profile says to Slurm: `defaults` of every job, and `rules`, what single rules ask instead."""

    path: Path
    defaults: dict[str, object]
    rules: dict[str, dict[str, object]]
    configuration: list[str]
    qos: str | None

    @classmethod
    def read(cls, name: str) -> "Profile":
        """The profile of this name, where Snakemake looks for it in the working folder, or in profiles/.

        Raises:
            UserError: no such profile, or one that does not submit to Slurm.
        """
        places = [Path(name), Path("profiles") / name]
        path = next((place / "config.yaml" for place in places if (place / "config.yaml").is_file()), None)
        if path is None:
            raise UserError(f"no profile {name} here: run in the checkout, whose profiles/{name}/config.yaml it is.")
        said = read_yaml(path)
        if said.get("executor") != "slurm":
            raise UserError(f"{path} submits nothing to Slurm: leave --profile out to check this machine.")
        of_rules: dict[str, dict[str, object]] = {}
        for rule, values in _pairs(said.get("set-resources"), ":"):
            of_rules[rule] = {
                **of_rules.get(rule, {}),
                **dict(_pairs(values if isinstance(values, dict) else [values], "=")),
            }
        files = said.get("configfile") or []
        configuration = [str(file) for file in (files if isinstance(files, list) else [files])]
        defaults = dict(_pairs(said.get("default-resources"), "="))
        qos = said.get("slurm-qos") or defaults.get("qos")
        return cls(path, defaults, of_rules, configuration, str(qos) if qos else None)

    def text(self, key: str, rule: str = "") -> str | None:
        """What is asked under a name such as slurm_partition, by the rule or by default."""
        value = self.rules.get(rule, {}).get(key, self.defaults.get(key))
        return None if value is None else str(value).strip("'\"")

    def demands(self, settings: Settings) -> list[Demand]:
        """What each kind of job asks for, as the rules have it."""
        compute, gpus = settings.compute, settings.train.gpus
        return [
            self._demand("train", "train_minutes", gpus, compute.mem_mb * gpus, compute.train_minutes),
            self._demand("export_shard", "export_minutes", 1, compute.mem_mb, compute.export_minutes),
        ]

    def _demand(self, rule: str, setting: str, gpus: int, memory: int, minutes: int) -> Demand:
        own = self.rules.get(rule, {})
        try:
            memory, minutes = (
                int(str(own.get(key, value))) for key, value in (("mem_mb", memory), ("runtime", minutes))
            )
        except ValueError as error:
            raise UserError(
                f"{self.path}: {rule} asks for mem_mb or runtime in words that are not compared here: write whole megabytes and minutes."
            ) from error
        model, partition = (self.text(key, rule) for key in ("gpu_model", "slurm_partition"))
        return Demand(rule, f"compute.{setting}", gpus, memory, minutes, model, partition)


def _pairs(said: object, sign: str) -> list[tuple[str, object]]:
    """A profile's mapping, or its list of words such as mem_mb=4000."""
    if isinstance(said, dict):
        return list(said.items())
    words = [str(word).partition(sign) for word in said] if isinstance(said, list) else []
    return [(name, value) for name, _, value in words]
