-- The tables of the first release. They never change; later releases migrate them (schema.py).

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    dedupe TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    status INTEGER NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0,
    adapter INTEGER NOT NULL,
    keys TEXT NOT NULL
);
CREATE INDEX deliveries_dedupe ON deliveries (dedupe);
CREATE INDEX deliveries_quarantined ON deliveries (id) WHERE verdict = 'quarantined';

CREATE TABLE rejections (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    size INTEGER NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0,
    headers TEXT NOT NULL DEFAULT '{}',
    body BLOB NOT NULL DEFAULT x''
);

CREATE TABLE counts (
    source TEXT NOT NULL,
    verdict TEXT NOT NULL,
    n INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_kind TEXT NOT NULL,
    PRIMARY KEY (source, verdict)
) WITHOUT ROWID;

CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE events (
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (key, digest)
) WITHOUT ROWID;

CREATE TABLE spans (
    key TEXT NOT NULL UNIQUE,
    ref TEXT NOT NULL,
    short_ref TEXT NOT NULL,
    source TEXT NOT NULL,
    operation TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    state INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    project TEXT NOT NULL,
    team TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    actor TEXT NOT NULL,
    url TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    stage TEXT NOT NULL,
    stage_at INTEGER,
    last_event_at INTEGER NOT NULL,
    reopens INTEGER NOT NULL,
    active INTEGER,
    error TEXT NOT NULL,
    attributes TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    own_trace_id TEXT NOT NULL,
    parent_key TEXT NOT NULL,
    series TEXT NOT NULL,
    derived INTEGER NOT NULL,
    changed INTEGER NOT NULL
);
CREATE INDEX spans_changed ON spans (changed);
CREATE INDEX spans_trace ON spans (trace_id, started_at);
CREATE INDEX spans_own_trace ON spans (own_trace_id) WHERE own_trace_id <> trace_id;
CREATE INDEX spans_parent ON spans (parent_key) WHERE parent_key <> '';
CREATE INDEX spans_short_ref ON spans (short_ref) WHERE short_ref <> key;
CREATE INDEX spans_in_flight ON spans (started_at) WHERE status = 'in_flight' AND derived = 0;
CREATE INDEX spans_ended ON spans (ended_at) WHERE derived = 0;
CREATE INDEX spans_failed ON spans (ended_at)
    WHERE status IN ('error', 'timed_out') AND derived = 0;
CREATE INDEX spans_series ON spans (series, ended_at) WHERE status = 'ok';
CREATE INDEX spans_roots ON spans (last_event_at) WHERE parent_key = '';
CREATE INDEX spans_deploys ON spans (project, service, environment, started_at)
    WHERE operation = 'deploy';
CREATE INDEX spans_targets ON spans (service, environment, started_at)
    WHERE operation IN ('deploy', 'incident');
CREATE INDEX spans_merged ON spans (project, ended_at)
    WHERE operation = 'pull_request' AND status = 'ok';

CREATE TABLE offers (
    token TEXT NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    key TEXT NOT NULL,
    via TEXT NOT NULL,
    PRIMARY KEY (token, scope, value, key, via)
) WITHOUT ROWID;
CREATE INDEX offers_key ON offers (key);

CREATE TABLE seeks (
    token TEXT NOT NULL,
    key TEXT NOT NULL,
    rule TEXT NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    via TEXT NOT NULL,
    link_only INTEGER NOT NULL,
    PRIMARY KEY (token, key, rule, scope, value, via, link_only)
) WITHOUT ROWID;
CREATE INDEX seeks_key ON seeks (key);

CREATE TABLE links (
    child TEXT NOT NULL,
    parent TEXT NOT NULL,
    rule TEXT NOT NULL,
    why TEXT NOT NULL,
    is_primary INTEGER NOT NULL,
    PRIMARY KEY (child, parent)
) WITHOUT ROWID;
CREATE INDEX links_parent ON links (parent);
