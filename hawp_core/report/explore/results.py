"""What `hawp predict` left where somebody looks, found anew at each look."""

from collections import Counter
from pathlib import Path

from hawp_core.data.predicted import JSON_LINES, Predicted
from hawp_core.errors import UserError
from hawp_core.runtime.text import shown
from hawp_core.workflow.paths import DATA, PREDICTIONS


class Results:
    """The results of a file of JSON lines or a JSON file; or of a folder, or `wireframes` in it, where predict saves by itself.

    Args:
        place: that file or folder.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known: dict[Path, Predicted] = {}
        self._versions: Counter[Path] = Counter()

    def look(self) -> tuple[list[tuple[int, Predicted]], list[str]]:
        """Results that are there now, each with the number of its version, which stays while rows are only added; and a
        sentence for what cannot be read.
        """
        found, faults = [], []
        for path in self._places():
            known = self._known.get(path)
            try:
                if known is None or not known.look():
                    known = self._known[path] = Predicted(path)
                    self._versions[path] += 1
                if known.names:
                    found.append((self._versions[path], known))
            except UserError as error:
                faults.append(shown(str(error)))
            except OSError:  # it went, or is being replaced
                continue
        return found, faults

    def _places(self) -> list[Path]:
        if self._place.is_file():
            return [self._place]
        saved = self._place / PREDICTIONS
        # A run's own folder holds far more than results.
        folders = [saved] if saved.is_dir() else [] if (self._place / DATA).is_dir() else [self._place]
        return [each for folder in folders for each in (folder, folder / JSON_LINES) if each.exists()]
