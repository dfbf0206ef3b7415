"""The configuration: one TOML file, overridden by `VS_*` variables, overridden by flags.

Secrets are in a file of their own next to it (mode 0600), which the first start creates.
"""

from vs_tui.config.document import settings_names
from vs_tui.config.loading import config_dir, data_dir, load, take_secrets_out
from vs_tui.config.model import DEFAULT_TIMEOUTS, Config
from vs_tui.config.secrets import (
    TOKENS,
    NamedToken,
    Secrets,
    complete_secrets,
    read_secrets,
    readable_by_others,
    rotate,
    write_secrets,
)
from vs_tui.model.errors import ConfigError

__all__ = [
    "DEFAULT_TIMEOUTS",
    "TOKENS",
    "Config",
    "ConfigError",
    "NamedToken",
    "Secrets",
    "complete_secrets",
    "config_dir",
    "data_dir",
    "load",
    "read_secrets",
    "readable_by_others",
    "rotate",
    "settings_names",
    "take_secrets_out",
    "write_secrets",
]
