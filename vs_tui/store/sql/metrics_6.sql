-- The part of schema 6 for the delivery metrics. The tables are written within the transactions that
-- fold (`store/metrics/keeper.py`).

-- Spans that count as production deployments and incidents, by the rules of the configuration.
-- Incidents of pruned traces still count. `judge_queue` holds the targets whose deployments since an
-- instant wait to be judged.
CREATE TABLE metric_deploys (
    key TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    status TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX metric_deploys_of
    ON metric_deploys (project, service, environment, ended_at, status);
CREATE INDEX metric_deploys_from
    ON metric_deploys (project, service, environment, started_at, status, ended_at);
CREATE INDEX metric_deploys_began ON metric_deploys (service, started_at, key);
CREATE INDEX metric_deploys_in ON metric_deploys (project, started_at, key);
-- An incident of several services has a row for each, with the same teams.
CREATE TABLE metric_incidents (
    key TEXT NOT NULL,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    restored_at INTEGER,
    finished_at INTEGER,
    team TEXT NOT NULL,
    is_production INTEGER NOT NULL,
    PRIMARY KEY (key, project, service)
) WITHOUT ROWID;
CREATE INDEX metric_incidents_began ON metric_incidents (started_at);
CREATE INDEX metric_incidents_of ON metric_incidents (service, environment, started_at);
CREATE INDEX metric_incidents_in ON metric_incidents (project, started_at);
CREATE INDEX metric_incidents_over ON metric_incidents (service, restored_at);
CREATE TABLE metric_since (
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (project, service)
) WITHOUT ROWID;
CREATE TABLE judge_queue (
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (project, service, environment)
) WITHOUT ROWID;
CREATE TRIGGER metric_gone AFTER DELETE ON spans BEGIN
    DELETE FROM metric_deploys WHERE key = OLD.key;
END;
CREATE INDEX IF NOT EXISTS spans_deployed
    ON spans (project, service, environment, ended_at, team) WHERE operation = 'deploy';
CREATE INDEX IF NOT EXISTS spans_tested ON spans (project, service, environment, ended_at)
    WHERE operation = 'test' AND environment <> '';
CREATE INDEX IF NOT EXISTS spans_built ON spans (project, started_at)
    WHERE operation IN ('build', 'pipeline');

-- Judged deployments, the changes they shipped and the signs of their failures, from which figures
-- are computed; those of pruned traces are kept. Schema 5 had them as JSON.
CREATE TABLE judged (
    key TEXT NOT NULL UNIQUE,
    span TEXT NOT NULL,
    unit INTEGER NOT NULL,
    place INTEGER NOT NULL,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    failed_at INTEGER,
    reasons TEXT NOT NULL,
    repair TEXT NOT NULL,
    version TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    product_group TEXT NOT NULL,
    artifact TEXT NOT NULL,
    name TEXT NOT NULL,
    trace_id TEXT NOT NULL
);
INSERT INTO judged SELECT key, span, unit, place, project, service, environment, started_at,
    ended_at, outcome, (SELECT MIN(e.started_at) FROM dora_episodes e WHERE e.deployment = key),
    reasons, repair, version, commit_id,
    CASE product_group WHEN '' THEN '' ELSE json_array(project,
        json_extract(verdict, '$.deployment.product'),
        json_extract(verdict, '$.deployment.correlation'), environment) END,
    COALESCE(json_extract(verdict, '$.deployment.artifact'), ''),
    COALESCE(json_extract(verdict, '$.deployment.name'), ''),
    COALESCE(json_extract(verdict, '$.deployment.trace_id'), '') FROM dora_deployments;

CREATE TABLE dora_signals (
    deployment TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    span TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    unit INTEGER NOT NULL,
    place INTEGER NOT NULL,
    at INTEGER NOT NULL
);
INSERT INTO dora_signals SELECT d.key, json_extract(s.value, '$.kind'),
    json_extract(s.value, '$.key'), CASE json_extract(s.value, '$.kind') WHEN 'incident' THEN
        COALESCE((SELECT NULLIF(json_extract(b.value, '$.span'), '')
            FROM json_each(d.verdict, '$.blames') b
            WHERE json_extract(b.value, '$.key') = json_extract(s.value, '$.key')),
            json_extract(s.value, '$.key'))
        ELSE '' END,
    json_extract(s.value, '$.started_at'), json_extract(s.value, '$.ended_at'),
    d.unit, d.place, d.ended_at
    FROM dora_deployments d, json_each(d.verdict, '$.signals') s;

CREATE TABLE shipped (
    deployment TEXT NOT NULL,
    change TEXT NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    unit INTEGER NOT NULL,
    place INTEGER NOT NULL,
    at INTEGER NOT NULL,
    lead INTEGER,
    basis TEXT NOT NULL,
    coding INTEGER,
    pickup INTEGER,
    review INTEGER,
    merge_wait INTEGER,
    build INTEGER,
    deploy_wait INTEGER,
    deploy INTEGER,
    again INTEGER NOT NULL
);
INSERT INTO shipped SELECT c.deployment, c.change, json_extract(s.value, '$.change.kind'),
    json_extract(s.value, '$.change.title'), c.unit, d.place, c.at, NULLIF(c.lead, -1),
    json_extract(s.value, '$.basis'), json_extract(s.value, '$.stages.coding'),
    json_extract(s.value, '$.stages.pickup'), json_extract(s.value, '$.stages.review'),
    json_extract(s.value, '$.stages."merge wait"'), json_extract(s.value, '$.stages.build'),
    json_extract(s.value, '$.stages."deploy wait"'), json_extract(s.value, '$.stages.deploy'),
    0 FROM dora_deployments d, json_each(d.verdict, '$.shipped') s
    JOIN dora_changes c ON c.deployment = d.key
        AND c.change = json_extract(s.value, '$.change.key');

CREATE TABLE dora_work (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    team TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    spent INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO dora_work SELECT m.key, CASE json_extract(r.value, '$[0]')
        WHEN 'author' THEN 'merge' WHEN 'bot' THEN 'bot' ELSE 'ticket' END,
    MAX(json_extract(r.value, '$[1]')), json_extract(r.value, '$[2]'),
    json_extract(r.value, '$[4][0]'), COALESCE(json_extract(r.value, '$[4][1]'), 0)
    FROM dora_members m, json_each(m.records) r GROUP BY m.key;

DROP TABLE dora_pages;
DROP TABLE dora_strands;
DROP TABLE dora_members;
DROP TABLE dora_blames;
DROP TABLE dora_episodes;
DROP TABLE dora_changes;
DROP TABLE dora_deployments;
ALTER TABLE judged RENAME TO dora_deployments;
ALTER TABLE shipped RENAME TO dora_changes;
CREATE INDEX dora_deployments_counted ON dora_deployments
    (place, ended_at, unit, outcome, failed_at, repair, started_at);
CREATE INDEX dora_deployments_begun ON dora_deployments (place, started_at, unit);
CREATE INDEX dora_deployments_target
    ON dora_deployments (project, service, environment, ended_at);
CREATE INDEX dora_deployments_span ON dora_deployments (span);
CREATE INDEX dora_deployments_group ON dora_deployments (product_group)
    WHERE product_group <> '';
CREATE INDEX dora_deployments_commit ON dora_deployments (commit_id) WHERE commit_id <> '';
CREATE UNIQUE INDEX dora_changes_of ON dora_changes (deployment, change);
CREATE INDEX dora_changes_change ON dora_changes (change, at, deployment, place, unit);

CREATE INDEX dora_changes_reverted ON dora_changes (title, place) WHERE title <> '';
CREATE INDEX dora_changes_counted ON dora_changes (place, at, unit, again, lead, basis);
CREATE INDEX dora_signals_of ON dora_signals (deployment);
CREATE INDEX dora_signals_span ON dora_signals (span) WHERE span <> '';
CREATE INDEX dora_signals_counted
    ON dora_signals (place, at, unit, deployment, started_at, ended_at, kind);
INSERT INTO metric_since SELECT project, service, MIN(started_at) FROM dora_deployments
    WHERE unit < 2 GROUP BY project, service;
CREATE INDEX dora_work_done ON dora_work (kind, at, team, name, spent);
INSERT INTO metric_incidents SELECT i.key, COALESCE(s.project, ''), COALESCE(s.service, ''),
    COALESCE(s.environment, ''), i.started_at, i.restored_at, i.finished_at, i.team, 1
    FROM dora_incidents i LEFT JOIN spans s ON s.key = i.key;
DROP TABLE dora_incidents;
CREATE VIEW dora_incidents AS SELECT i.key, CASE i.team WHEN '' THEN COALESCE(
        (SELECT p.team FROM dora_signals s JOIN dora_places p ON p.id = s.place
            WHERE s.span = i.key AND s.span <> '' AND s.unit < 2
            ORDER BY s.at DESC, p.team LIMIT 1), '') ELSE i.team END AS team,
    i.started_at, i.restored_at, i.finished_at, (SELECT MAX(s.at) FROM dora_signals s
        WHERE s.span = i.key AND s.span <> '' AND s.unit < 2) AS deployed_at
    FROM metric_incidents i WHERE (i.is_production = 1 OR EXISTS (SELECT 1 FROM dora_signals s
        WHERE s.span = i.key AND s.span <> '' AND s.unit < 2))
    AND NOT EXISTS (SELECT 1 FROM metric_incidents o WHERE o.key = i.key
        AND (o.project, o.service) < (i.project, i.service));
