"""OPUS runs programs on a cluster through the web, as the IVOA Universal Worker Service."""

from opus_core.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]
