-- The part of schema 6 for what shipped: branches, commits and deploys (`store/folding/vcs_history.py`).

CREATE TABLE vcs_history (
    key TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    branch TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    source TEXT NOT NULL,
    base TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX vcs_history_after ON vcs_history (project, base) WHERE base <> '';
CREATE INDEX vcs_history_of ON vcs_history (project, branch, at, kind, source);
CREATE INDEX vcs_history_from ON vcs_history (project, source, at, branch) WHERE source <> '';
CREATE TABLE vcs_commits (
    project TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    authored INTEGER,
    title TEXT NOT NULL,
    paths TEXT NOT NULL,
    reverts TEXT NOT NULL,
    PRIMARY KEY (project, commit_id, key)
) WITHOUT ROWID;
CREATE INDEX vcs_commits_of ON vcs_commits (key);
CREATE TABLE vcs_defaults (
    project TEXT PRIMARY KEY,
    branch TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE vcs_deploys (
    key TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    version TEXT NOT NULL,
    ref TEXT NOT NULL,
    branch TEXT NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX vcs_deploys_after ON vcs_deploys (project, service, environment, started_at);
CREATE INDEX vcs_deploys_reached
    ON vcs_deploys (project, service, environment, branch, position, started_at) WHERE ok = 1;
CREATE INDEX vcs_deploys_version
    ON vcs_deploys (project, version, service, environment, started_at) WHERE version <> '';
CREATE INDEX vcs_deploys_unplaced ON vcs_deploys (project, ref) WHERE ref NOT IN ('', branch);
CREATE INDEX vcs_deploys_ended ON vcs_deploys (project, ended_at);
CREATE TABLE vcs_applications (
    project TEXT NOT NULL,
    deploy TEXT NOT NULL,
    PRIMARY KEY (project, deploy)
) WITHOUT ROWID;
CREATE INDEX vcs_applications_of ON vcs_applications (deploy);
CREATE TRIGGER vcs_gone AFTER DELETE ON spans
    WHEN OLD.operation IN ('pull_request', 'push') BEGIN
    DELETE FROM vcs_history WHERE key = OLD.key;
    DELETE FROM vcs_commits WHERE key = OLD.key;
END;
CREATE TRIGGER vcs_undeployed AFTER DELETE ON spans BEGIN
    DELETE FROM vcs_deploys WHERE key = OLD.key;
    DELETE FROM vcs_applications WHERE deploy = OLD.key;
END;
