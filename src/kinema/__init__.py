"""Kinema: motion in video models."""
