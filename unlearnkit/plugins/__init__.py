"""Plugins: who offers what under which name, and how a name with options becomes an object."""

from __future__ import annotations

from unlearnkit.plugins.fields import Description, OptionInfo, metrics_named, options_of
from unlearnkit.plugins.manager import Plugins, plugins
from unlearnkit.plugins.origin import Broken, Offer

__all__ = ["Broken", "Description", "Offer", "OptionInfo", "Plugins", "metrics_named", "options_of", "plugins"]
