"""HAWPv3: a self-supervised wireframe parser (arXiv 2210.12971), from synthetic shapes to labelled photographs."""
