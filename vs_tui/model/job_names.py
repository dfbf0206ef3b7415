"""What the name of a job, a stage or a task says that it does."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_DEPLOY: Final = re.compile(r"(?:^|[^a-z])deploy(?:s|ment|ing)?(?:$|[^a-z])")
_ROLLBACK: Final = re.compile(
    r"(?:[^a-z]*|:[^:]*:[^a-z]*|(?!.*deploy).*[^a-z])roll(?:ing|ed)?[-_ ]?back(?:s|$|[^a-z]).*",
    re.DOTALL,
)
"""A rollback first, or without a deploy: `deploy-or-rollback` is none."""
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_deploy_name(name: str) -> bool:
    """Whether the name of a job or stage says that it deploys (`deploy-prod`, `DeployToQA`), be it
    an older version (`rollback-prod`)."""
    return _DEPLOY.search(_HUMP.sub("-", name[:200]).lower()) is not None or is_rollback_name(name)


@lru_cache(maxsize=4096)
def is_rollback_name(name: str) -> bool:
    """Whether the name of a job, stage or task says that it rolls back (`RollbackProd`)."""
    return _ROLLBACK.fullmatch(_HUMP.sub("-", name[:200]).lower()) is not None
