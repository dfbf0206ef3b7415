"""Three teams, two of which deployed: what every face of the metrics is asked about."""

import pytest

from tests.metrics.deliveries import TEAMS, Database, deploy, incident, merge
from tests.metrics.world import t
from vs_tui.config import Config, Secrets
from vs_tui.model.time import DAY, HOUR

NOW = t("2026-03-20T12:00:00Z")
BEGIN = NOW - 20 * DAY


@pytest.fixture
def config(tmp_path) -> Config:
    base = Database(tmp_path / "metrics.db")
    base.tell(
        *merge(1, BEGIN + HOUR, BEGIN + 5 * HOUR),
        *deploy(1, BEGIN),
        *deploy(2, BEGIN + 6 * HOUR),
        *deploy(3, BEGIN + 30 * HOUR, ok=False),
        *deploy(4, BEGIN + 31 * HOUR),
        *deploy(5, BEGIN + 40 * HOUR, service="web"),
        *incident(1, BEGIN + 41 * HOUR, None, service="web"),
        *merge(2, BEGIN + 32 * HOUR, BEGIN + 33 * HOUR, service="web", actor="=cmd()"),
    )
    base.db.close()
    (tmp_path / "config.toml").write_text(
        '[teams.core]\nprojects = ["acme/api"]\n[teams.web]\nprojects = ["acme/web"]\n'
        '[teams.idle]\nprojects = ["x"]\n'
    )
    return Config(
        db=tmp_path / "metrics.db",
        port=0,
        zone="UTC",
        teams=TEAMS,
        secrets=Secrets("token"),
        path=tmp_path / "config.toml",
    )
