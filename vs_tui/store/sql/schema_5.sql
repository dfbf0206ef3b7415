-- The tables of schema 5 that schema 6 reads, empty: verdicts of older schemas are made again.
DROP TABLE IF EXISTS dora_changes;
DROP TABLE IF EXISTS dora_deployments;
DROP TABLE IF EXISTS dora_places;
DROP TABLE IF EXISTS dora_episodes;
DROP TABLE IF EXISTS dora_incidents;
DROP TABLE IF EXISTS dora_members;
DROP TABLE IF EXISTS dora_blames;
DROP TABLE IF EXISTS dora_strands;
DROP TABLE IF EXISTS dora_pages;
DROP INDEX IF EXISTS spans_deployed;
DROP INDEX IF EXISTS spans_merges_by_author;
DROP INDEX IF EXISTS spans_tickets;
CREATE TABLE dora_places (
    id INTEGER PRIMARY KEY,
    team TEXT NOT NULL,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    product TEXT NOT NULL,
    UNIQUE (team, project, service, environment, product)
);
CREATE TABLE dora_deployments (key, span, unit, place, project, service, environment, started_at,
    ended_at, outcome, version, commit_id, product_group, reasons, repair, verdict);
CREATE TABLE dora_changes (deployment, change, unit, at, lead);
CREATE TABLE dora_episodes (deployment, started_at);
CREATE TABLE dora_incidents (
    key TEXT PRIMARY KEY,
    team TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    restored_at INTEGER,
    finished_at INTEGER,
    deployed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX dora_incidents_started
    ON dora_incidents (started_at, team, restored_at, finished_at, deployed_at);
CREATE TABLE dora_members (key, records);
CREATE TABLE dora_blames (incident);
CREATE TABLE dora_strands (id);
CREATE TABLE dora_pages (id);
