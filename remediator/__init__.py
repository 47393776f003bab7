"""remediator keeps data pipelines alive: it watches, decides, acts, proves, and pages."""

__version__ = "0.1.0"
