"""Reference implementations for a course in deep generative modelling."""

__version__ = "0.1.0"
