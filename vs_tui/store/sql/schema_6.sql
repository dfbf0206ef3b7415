-- The first part of schema 6: what belongs to no other module. schema.py joins it with the others.

-- The 8-byte OTLP ids of spans that a collector took or refused for good.
CREATE TABLE exported_spans (span_id INTEGER PRIMARY KEY);

-- The readable ref of a span whose key has the id of a repository that may be renamed.
ALTER TABLE spans ADD COLUMN full_ref TEXT NOT NULL DEFAULT '';
CREATE INDEX spans_full_ref ON spans (full_ref) WHERE full_ref <> '';

-- Events in order of arrival. Sorted by key, each large event took a page of its own.
CREATE TABLE appended_events (key TEXT NOT NULL, data BLOB NOT NULL);
INSERT INTO appended_events SELECT key, data FROM events;
DROP TABLE events;
ALTER TABLE appended_events RENAME TO events;
CREATE INDEX events_key ON events (key);

-- Adds the level of offers, the scope to the tokens of keys that match in one scope only, and the
-- keys that more than `correlation.CROWD` spans of one level offer. Also adds separate indexes for
-- deploys and incidents, and one for the unfinished jobs of a run.
CREATE TABLE levelled_offers (
    token TEXT NOT NULL,
    level INTEGER NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    key TEXT NOT NULL,
    via TEXT NOT NULL,
    PRIMARY KEY (token, level, key, scope, value, via)
) WITHOUT ROWID;
INSERT OR IGNORE INTO levelled_offers
    SELECT CASE WHEN o.scope = '' OR substr(o.token, 1, instr(o.token, ':') - 1)
        IN ('commit', 'built', 'artifact') THEN o.token ELSE o.token || '@' || o.scope END,
        CASE s.operation WHEN 'sprint' THEN 0 WHEN 'issue' THEN 1
        WHEN 'pull_request' THEN 2 WHEN 'review' THEN 3 WHEN 'push' THEN 3 WHEN 'pipeline' THEN 4
        WHEN 'build' THEN 5 WHEN 'deploy' THEN 7 WHEN 'test' THEN 8 WHEN 'incident' THEN 9
        ELSE 6 END, o.scope, o.value, o.key, o.via
    FROM offers o LEFT JOIN spans s ON s.key = o.key;
DROP TABLE offers;
ALTER TABLE levelled_offers RENAME TO offers;
CREATE INDEX offers_key ON offers (key);
CREATE TABLE crowded_keys (
    token TEXT NOT NULL,
    level INTEGER NOT NULL,
    PRIMARY KEY (token, level)
) WITHOUT ROWID;
INSERT INTO crowded_keys
    SELECT token, level FROM offers GROUP BY token, level HAVING COUNT(DISTINCT key) > 30;
UPDATE OR REPLACE seeks SET token = token || '@' || scope WHERE scope <> ''
    AND substr(token, 1, instr(token, ':') - 1) NOT IN ('commit', 'built', 'artifact');
DROP INDEX spans_targets;
CREATE INDEX spans_shipped_to ON spans (service, environment, started_at, key)
    WHERE operation = 'deploy';
CREATE INDEX spans_shipped_of ON spans (service, started_at, key) WHERE operation = 'deploy';
CREATE INDEX spans_incidents ON spans (service, started_at) WHERE operation = 'incident';
CREATE INDEX spans_unfinished ON spans (parent_key)
    WHERE parent_key <> '' AND state < 4 AND derived = 0;

-- Leaves out phases, whose own trace ids nobody has seen.
DROP INDEX spans_own_trace;
CREATE INDEX spans_own_trace ON spans (own_trace_id) WHERE own_trace_id <> trace_id AND derived = 0;

-- Before schema 6 a delivery was folded in the transaction that stored it.
INSERT OR REPLACE INTO meta SELECT 'position', MAX(id) FROM deliveries HAVING COUNT(*) > 0;

-- Id of a delivery in the shared log, if this database is a cache of one.
ALTER TABLE deliveries ADD COLUMN log_id INTEGER;
CREATE UNIQUE INDEX deliveries_log_id ON deliveries (log_id) WHERE log_id IS NOT NULL;

-- Delivery totals, and the hashes of the facts that they include (`counted`).
CREATE TABLE counted_facts (id INTEGER PRIMARY KEY);
CREATE TABLE counted_totals (
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    n INTEGER NOT NULL,
    total REAL NOT NULL,
    buckets TEXT NOT NULL,
    PRIMARY KEY (name, labels)
) WITHOUT ROWID;

-- Waiting notices, and the hashes of those that were sent.
CREATE TABLE notified (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE notices (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    notice INTEGER NOT NULL, -- its hash in `notified`
    at INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX notices_of ON notices (target, id);

-- Keys that very many spans seek, each with the last of its seekers that was linked again.
CREATE TABLE link_queue (token TEXT PRIMARY KEY, after TEXT NOT NULL) WITHOUT ROWID;

-- The names of repositories, the spellings of projects, and the spans that must be folded with
-- another name.
CREATE TABLE repository_names (
    repository TEXT NOT NULL,
    name TEXT NOT NULL,
    heard_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;
INSERT INTO repository_names SELECT DISTINCT 'project', project, 0 FROM spans WHERE project <> '';
CREATE TABLE renamed_spans (key TEXT PRIMARY KEY) WITHOUT ROWID;
