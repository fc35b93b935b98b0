"""The demonstration: what Kinema does, on a laptop, with figures and a page to look at."""

from kinema.demo.page import Demonstration, write_page
from kinema.demo.perceive import Comparison, Row, Settings, compare, learn
from kinema.demo.run import run_demo

__all__ = [
    "Comparison",
    "Demonstration",
    "Row",
    "Settings",
    "compare",
    "learn",
    "run_demo",
    "write_page",
]
