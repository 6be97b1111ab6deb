"""HAWPv3: a self-supervised wireframe parser (arXiv 2210.12971), from synthetic shapes to labelled photographs.

>>> from hawp_core import load  # doctest: +SKIP
>>> model = load()  # the shipped weights; or load("model.pth")  # doctest: +SKIP
>>> wireframe = model(image)  # doctest: +SKIP
"""


def __getattr__(name: str) -> object:
    # Loaded when asked for: planning a run imports this package and must not wait for PyTorch.
    if name == "load":
        from hawp_core.model.parser import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
