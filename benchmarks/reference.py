"""The published implementation (github.com/cherubicXN/hawp) as something to measure, read from a work tree of it.

Nothing of it is kept here. Its extension, the encoder of the attraction field, is compiled where there is a GPU and a
compiler; elsewhere an equal function in PyTorch takes its place.
"""

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import tempfile
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import cv2
import inputs
import numpy as np
import torch
import yaml

from hawp_core.data.batch import Batch
from hawp_core.geometry.wireframe import Wireframe

PRIMITIVES = {
    "checkerboard": "draw_checkerboard_multiseg",
    "lines": "draw_lines",
    "polygon": "draw_polygon",
    "multiple_polygons": "draw_multiple_polygons",
    "star": "draw_star",
    "stripes": "draw_stripes_multiseg",
    "cube": "draw_cube",
    "gaussian_noise": "gaussian_noise",
}


def encode(lines, height, width, *_):
    """What the extension's `encodels` gives: vectors from each grid point to its nearest segment and to the segment's
    ends, the nearer end first: (6, h, w)."""
    y, x = torch.meshgrid(*(torch.arange(n, device=lines.device).float() for n in (height, width)), indexing="ij")
    start, step = lines[:, :2, None, None], (lines[:, 2:] - lines[:, :2])[:, :, None, None]
    point = torch.stack((x, y))
    along = (((point - start) * step).sum(1) / (step.square().sum(1) + 1e-6)).clamp(0, 1)[:, None]
    foot = start + along * step - point
    nearest = foot.square().sum(1).argmin(0)
    chosen = lines[nearest].permute(2, 0, 1)
    first, second = chosen[:2] - point, chosen[2:] - point
    nearer = first.square().sum(0) < second.square().sum(0)
    ends = torch.cat((torch.where(nearer, first, second), torch.where(nearer, second, first)))
    way = foot.gather(0, nearest[None, None].expand(1, 2, -1, -1))[0]
    return torch.cat((way, ends)), None, None


def _compiled(root: Path) -> types.ModuleType | None:
    """Its extension, compiled; None where that fails."""
    from torch.utils.cpp_extension import load

    sources = [str(root / "hawp" / "base" / "csrc" / name) for name in ("binding.cpp", "linesegment.cu")]
    try:
        return load(name="hawp_reference_field", sources=sources)
    except (OSError, RuntimeError, ImportError) as error:
        print(f"its extension does not compile here: {str(error)[-300:]}", file=sys.stderr)
        return None


class Reference:
    """Works by name, as `ours.Ours` has them.

    Args:
        options: reference (its work tree), device, size, ckpt.

    Raises:
        ModuleNotFoundError: a package that it needs is missing.
    """

    def __init__(self, options: dict) -> None:
        self.root, self.device, self.size = Path(options["reference"]), torch.device(options["device"]), options["size"]
        # It makes folders for data where it is imported; they go where they disturb nobody.
        self._folders = tempfile.TemporaryDirectory()
        os.environ["DATASET_ROOT"], os.environ["EXP_PATH"] = (f"{self._folders.name}/{n}" for n in ("data", "exp"))
        np.float = float
        extension = types.ModuleType("hawp.base.csrc")
        extension._C = _compiled(self.root) if self.device.type == "cuda" else None
        self.compiled = extension._C is not None
        extension._C = extension._C or types.SimpleNamespace(encodels=encode)
        self._encode = extension._C.encodels
        sys.modules["hawp.base.csrc"] = extension
        sys.path.insert(0, str(self.root))
        sys.dont_write_bytecode = True
        with contextlib.redirect_stdout(sys.stderr):
            configuration = importlib.import_module("hawp.fsl.config").cfg
            configuration.merge_from_file(str(self.root / "hawp/ssl/config/hawpv3.yaml"))
            models = importlib.import_module("hawp.ssl.models").MODELS
            self.model = models["HAWP-heatmap"](configuration, gray_scale=True).to(self.device)
        self.model.load_state_dict(inputs.network(options).state_dict(), strict=False)
        self.weights = dict(configuration.MODEL.LOSS_WEIGHTS)
        self.optimiser = torch.optim.Adam(self.model.parameters(), 4e-4, weight_decay=1e-4, amsgrad=True)

    def settings(self, name: str) -> dict:
        """A data configuration of its folder `hawp/ssl/config`."""
        return yaml.safe_load((self.root / "hawp/ssl/config" / name).read_text())

    def label(self, count: int, batched: bool = False) -> Callable[[], list[np.ndarray]]:
        """Label photographs by ten views, one by one as its script does; returns their lines. Or all at once, with the
        script that does not start and fails at the second image's lines, when all the views have passed: no lines."""
        module = self._script("homoadp-bm" if batched else "homoadp")
        recipe = self.settings("exports/wireframe-10iters.yaml")["homography_adaptation"]
        recipe = recipe | {"num_iter": inputs.PUBLISHED.views}
        arguments = Namespace(min_score=inputs.PUBLISHED.min_score, ajk=True, display=False)
        images = torch.from_numpy(inputs.photographs(count, self.size)[:, None]).to(self.device).float() / 255
        views = inputs.views(count, self.size)

        def together(part: slice) -> list[dict]:
            drawn = iter(np.swapaxes(views[part], 0, 1).reshape(-1, 3, 3))
            module.sample_homography = lambda *_, **__: (next(drawn), None)
            return [module.homography_adaptation(arguments, images[part], self.model, recipe)]

        @torch.no_grad()
        def work() -> list[np.ndarray]:
            self.model.eval()
            if batched:
                with contextlib.suppress(AttributeError):
                    together(slice(None))
                return []
            return [_lines(**one) for i in range(count) for one in together(slice(i, i + 1))]

        return work

    def _script(self, name: str) -> types.ModuleType:
        full = f"hawp.ssl.{name.replace('-', '_')}"
        if full not in sys.modules:
            # The batched script reads a template that its repository lacks.
            importlib.import_module("hawp.ssl.config").load_config = lambda _: {}
            spec = importlib.util.spec_from_file_location(full, self.root / "hawp" / "ssl" / f"{name}.py")
            sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[full])
        return sys.modules[full]

    def field(self, count: int) -> Callable[[], None]:
        """Its encoder alone, image by image as its training calls it."""
        lines, side = inputs.segments(count, self.size, self.device), self.size // 4

        def work() -> None:
            for _ in range(inputs.ENCODINGS):
                for one in lines:
                    self._encode(one, side, side, side, side, count)

        return work

    def train(self) -> Callable[[], object]:
        """One training step on six shapes."""
        batch = inputs.batch(self.size, False, self.device)
        annotations = self._annotations(batch)

        def work() -> None:
            self.model.train()
            found, _ = self.model(batch.images, dict(annotations))
            total = sum(value * self.weights.get(name, 1.0) for name, value in found.items())
            # Its loop reads every loss in every step.
            self.last = {name: float(value.detach()) for name, value in found.items()}
            self.optimiser.zero_grad()
            total.backward()
            self.optimiser.step()

        return work

    def _annotations(self, batch: Batch) -> dict:
        junctions, maps = [], []
        for i in range(len(batch)):
            count, edges = int(batch.junction_count[i]), batch.edges[i, : int(batch.edge_count[i])]
            line_map = torch.zeros(count, count, dtype=torch.int64, device=self.device)
            line_map[edges[:, 0], edges[:, 1]] = line_map[edges[:, 1], edges[:, 0]] = 1
            junctions.append(batch.junctions[i, :count].flip(1))
            maps.append(line_map)
        return {
            "junctions": junctions, "line_map": maps, "heatmap": batch.heatmap[:, None],
            "valid_mask": batch.valid[:, None], "batch_size": len(batch), "width": self.size, "height": self.size, "stride": 4,
        }  # fmt: skip

    def draw(self, primitive: str, count: int) -> Callable[[], None]:
        """Draw shapes of one primitive with their labels, as its data set makes them; without writing them."""
        shapes = importlib.import_module("hawp.ssl.datasets.synthetic_util")
        recipe = self.settings("synthetic_dataset.yaml")
        drawing, blur = recipe["generation"], recipe["preprocessing"]["blur_size"]
        canvas, function = tuple(drawing["image_size"]), PRIMITIVES[primitive]
        paint = getattr(shapes, function)
        known = inspect.signature(paint).parameters
        given = {name: drawing[name] for name in ("min_len", "min_label_len") if name in known}
        given |= drawing["params"].get(function, {})
        np.random.seed(0)
        shapes.set_random_state(np.random.RandomState(0))

        def work() -> None:
            for _ in range(count):
                image = shapes.generate_background(canvas, **drawing["params"]["generate_background"])
                paint(image, **given)
                image = cv2.GaussianBlur(image, (blur, blur), 0)
                cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_LINEAR)

        return work

    def load(self, kind: str, count: int) -> Callable[[], None]:
        """Augment shapes as shapes or as photographs; they are in memory already."""
        if kind == "shapes":
            cls = importlib.import_module("hawp.ssl.datasets.synthetic_dataset").SyntheticShapes
            recipe = self.settings("synthetic_dataset.yaml")
        else:
            cls = importlib.import_module("hawp.ssl.datasets.wireframe_dataset").WireframeDataset
            recipe = self.settings("exports/wireframe-10iters.yaml")
        recipe["preprocessing"]["resize"] = [self.size, self.size]
        dataset = object.__new__(cls)
        dataset.config, dataset.mode, dataset.gt_source = recipe, "train", "exported"
        data = inputs.shapes(Path(self._folders.name), count, self.size, False)
        samples = [_sample(kind, *data.item(i)[:2]) for i in range(count)]

        def work() -> None:
            for sample in samples:
                if kind == "shapes":
                    dataset.train_preprocessing(dict(sample))
                else:
                    dataset.train_preprocessing_exported(sample, scale=np.random.uniform(0.7, 1.5))

        return work


def _lines(junctions: torch.Tensor, line_map: torch.Tensor) -> np.ndarray:
    first, second = line_map.triu(1).nonzero().unbind(1)
    return torch.cat((junctions[first], junctions[second]), 1).cpu().numpy()


def _sample(kind: str, image: np.ndarray, wireframe: Wireframe) -> dict:
    """A labelled image as its data set reads it."""
    line_map = np.zeros((len(wireframe.junctions),) * 2, np.int32)
    first, second = wireframe.edges.T
    line_map[first, second] = line_map[second, first] = 1
    points = wireframe.junctions[:, ::-1].astype(np.float64)
    if kind == "shapes":
        return {"image": image, "points": points, "line_map": line_map, "heatmap": np.zeros_like(image)}
    return {"image": np.repeat(image[..., None], 3, 2), "junctions": points, "line_map": line_map}
