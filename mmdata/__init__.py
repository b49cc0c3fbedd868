"""mmdata: a data pipeline and feature store toolkit for multimodal models."""

__version__ = "0.1.0"
