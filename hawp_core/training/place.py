"""Where one training lives: its folder and the files in it."""

from dataclasses import dataclass
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.model.checkpoint import TrainingState, load_state

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class TrainingPlace:
    """The files of one training.

    Attributes:
        model: the file that the training ends with.
        key: the training's key; a state of another key is not continued.
    """

    model: Path
    key: str

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return self.model.parent

    @property
    def kept_model(self) -> Path:
        """The model before it is noted: a workflow killed before it has noted a finished model deletes that, not this."""
        return self.model.with_name(f".{self.model.name}")

    @property
    def state_file(self) -> Path:
        """The state that a killed training carries on from."""
        return self.folder / "resume.pth"

    @property
    def metrics_file(self) -> Path:
        """The metrics, a JSON line each."""
        return self.folder / METRICS

    @property
    def config_file(self) -> Path:
        """The settings that the model was made with."""
        return self.folder / "model.yaml"

    def read_state(self) -> TrainingState | None:
        """The saved state, if there is one.

        Raises:
            UserError: it cannot be read, or belongs to another training.
        """
        if not self.state_file.exists():
            return None
        state = load_state(self.state_file)
        if state.get("key") != self.key:
            raise UserError(
                f"{self.state_file} belongs to the training {state.get('key')}, not to {self.key}: "
                "move it away to begin anew."
            )
        return state
