"""The published implementation (github.com/cherubicXN/hawp) as something to measure, read from a work tree of it.

Nothing of it is kept here. Its compiled extension is replaced: the encoder of the attraction field by an equal function
in PyTorch, the others, which are not called, by nothing. Beside this project's packages it wants yacs, easydict,
python-json-logger and shapely.
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
from pathlib import Path

import numpy as np
import torch

from hawp_core.batch import Batch
from hawp_core.network import WireframeNetwork

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


class Reference:
    """The published network, labelling, training step, shapes and augmentation.

    Args:
        root: its work tree.
        network: whose weights it takes.

    Raises:
        ModuleNotFoundError: a package that it needs is missing.
    """

    def __init__(self, root: Path, network: WireframeNetwork, device: torch.device) -> None:
        self.root, self.device = root, device
        # It makes folders for data where it is imported; they go where they disturb nobody.
        self._folders = tempfile.TemporaryDirectory()
        os.environ["DATASET_ROOT"], os.environ["EXP_PATH"] = (f"{self._folders.name}/{n}" for n in ("data", "exp"))
        np.float = float
        extension = types.ModuleType("hawp.base.csrc")
        extension._C = types.SimpleNamespace(encodels=encode)
        sys.modules["hawp.base.csrc"] = extension
        sys.path.insert(0, str(root))
        sys.dont_write_bytecode = True
        with contextlib.redirect_stdout(sys.stderr):
            configuration = importlib.import_module("hawp.fsl.config").cfg
            configuration.merge_from_file(str(root / "hawp/ssl/config/hawpv3.yaml"))
            models = importlib.import_module("hawp.ssl.models").MODELS
            self.model = models["HAWP-heatmap"](configuration, gray_scale=True).to(device)
        self.model.load_state_dict(network.state_dict(), strict=False)
        self.weights = dict(configuration.MODEL.LOSS_WEIGHTS)
        self.optimiser = torch.optim.Adam(self.model.parameters(), 4e-4, weight_decay=1e-4, amsgrad=True)

    def settings(self, name: str) -> dict:
        """A data configuration of its folder `hawp/ssl/config`."""
        import yaml

        return yaml.safe_load((self.root / "hawp/ssl/config" / name).read_text())

    def label(self, images: torch.Tensor, homographies: np.ndarray, min_score: float, *, batched: bool = False):
        """Label with given views: the script that runs, one image; or the batched one, which does not start.

        Args:
            images: (B, 1, S, S) in [0, 1].
            homographies: (B, V, 3, 3).
        """
        name = "homoadp-bm" if batched else "homoadp"
        module = self._script(name)
        drawn = iter(np.swapaxes(homographies, 0, 1).reshape(-1, 3, 3))
        module.sample_homography = lambda *_, **__: (next(drawn), None)
        recipe = self.settings("exports/wireframe-10iters.yaml")["homography_adaptation"]
        recipe = recipe | {"num_iter": homographies.shape[1]}
        self.model.eval()
        arguments = Namespace(min_score=min_score, ajk=True, display=False)
        with torch.no_grad():
            return module.homography_adaptation(arguments, images, self.model, recipe)

    def _script(self, name: str) -> types.ModuleType:
        full = f"hawp.ssl.{name.replace('-', '_')}"
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, self.root / "hawp" / "ssl" / f"{name}.py")
            sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[full])
        return sys.modules[full]

    def train(self, batch: Batch) -> torch.Tensor:
        """One training step; the sum of the losses."""
        self.model.train()
        side = batch.images.shape[-1]
        junctions, maps = [], []
        for i in range(len(batch)):
            count, edges = int(batch.junction_count[i]), batch.edges[i, : int(batch.edge_count[i])]
            line_map = torch.zeros(count, count, dtype=torch.int64, device=self.device)
            line_map[edges[:, 0], edges[:, 1]] = line_map[edges[:, 1], edges[:, 0]] = 1
            junctions.append(batch.junctions[i, :count].flip(1))
            maps.append(line_map)
        annotations = {
            "junctions": junctions, "line_map": maps, "heatmap": batch.heatmap[:, None], "valid_mask": batch.valid[:, None],
            "batch_size": len(batch), "width": side, "height": side, "stride": 4,
        }  # fmt: skip
        found, _ = self.model(batch.images, annotations)
        total = sum(value * self.weights.get(name, 1.0) for name, value in found.items())
        {name: float(value) for name, value in found.items()}
        self.optimiser.zero_grad()
        total.backward()
        self.optimiser.step()
        return total

    def seed_shapes(self, seed: int) -> None:
        """Seed its two random generators."""
        np.random.seed(seed)
        self._shapes().set_random_state(np.random.RandomState(seed))

    def _shapes(self) -> types.ModuleType:
        return importlib.import_module("hawp.ssl.datasets.synthetic_util")

    def draw(self, primitive: str) -> np.ndarray:
        """One synthetic image with its labels, as its data set makes them; without writing it."""
        import cv2

        shapes, recipe = self._shapes(), self.settings_of_shapes["generation"]
        canvas, function = tuple(recipe["image_size"]), PRIMITIVES[primitive]
        image = shapes.generate_background(canvas, **recipe["params"]["generate_background"])
        paint = getattr(shapes, function)
        known = inspect.signature(paint).parameters
        given = {name: recipe[name] for name in ("min_len", "min_label_len") if name in known}
        paint(image, **given, **recipe["params"].get(function, {}))
        blur = self.settings_of_shapes["preprocessing"]["blur_size"]
        image = cv2.GaussianBlur(image, (blur, blur), 0)
        return cv2.resize(image, (512, 512), interpolation=cv2.INTER_LINEAR)

    @property
    def settings_of_shapes(self) -> dict:
        """Its recipe of synthetic shapes."""
        if not hasattr(self, "_recipe_of_shapes"):
            self._recipe_of_shapes = self.settings("synthetic_dataset.yaml")
        return self._recipe_of_shapes

    def augmenter(self, kind: str):
        """A function that does to one sample what its data set does after reading it: `kind` is shapes or photographs.

        The function takes the image (S, S) uint8, junctions (N, 2) x, y and edges (M, 2).
        """
        if kind == "shapes":
            cls = importlib.import_module("hawp.ssl.datasets.synthetic_dataset").SyntheticShapes
            recipe = self.settings_of_shapes
        else:
            cls = importlib.import_module("hawp.ssl.datasets.wireframe_dataset").WireframeDataset
            recipe = self.settings("exports/wireframe-10iters.yaml")
        dataset = object.__new__(cls)
        dataset.config, dataset.mode, dataset.gt_source = recipe, "train", "exported"

        def change(image: np.ndarray, junctions: np.ndarray, edges: np.ndarray) -> object:
            line_map = np.zeros((len(junctions),) * 2, np.int32)
            line_map[edges[:, 0], edges[:, 1]] = line_map[edges[:, 1], edges[:, 0]] = 1
            points = junctions[:, ::-1].astype(np.float64)
            if kind == "shapes":
                sample = {"image": image, "points": points, "line_map": line_map, "heatmap": np.zeros_like(image)}
                return dataset.train_preprocessing(sample)
            sample = {"image": np.repeat(image[..., None], 3, 2), "junctions": points, "line_map": line_map}
            return dataset.train_preprocessing_exported(sample, scale=np.random.uniform(0.7, 1.5))

        return change
