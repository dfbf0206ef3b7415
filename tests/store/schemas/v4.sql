-- A database of schema 4: that of schema 3 with columns for its reports.
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE counts (
    source TEXT NOT NULL,
    verdict TEXT NOT NULL,
    n INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_kind TEXT NOT NULL,
    PRIMARY KEY (source, verdict)
) WITHOUT ROWID;
INSERT INTO "counts" VALUES('customhttp','accepted',7,1772445690000000,'deploy.end');
INSERT INTO "counts" VALUES('customhttp','duplicate',1,1772445690000000,'deploy.end');
INSERT INTO "counts" VALUES('github','rejected',1,1772445600000000,'request');
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
INSERT INTO "deliveries" VALUES(1,'customhttp','pipeline.start','/customhttp','{}',X'7B2274797065223A22706970656C696E65222C226964223A2231222C22616374696F6E223A227374617274222C2274696D657374616D70223A313737323434353630303030303030302C226E616D65223A2272656C65617365227D',X'17E5B1D7482B54BC1FA4883017BE834FD440E81BA1BDA389FF538B66CF2FE789',1772445600000000,'sha:ff9d0dfbef63e140945dfce3fb6247d4be9c3928670e9268120d2c8e9ef231e1','accepted','',200,0,1,'["vstrace-customhttp-pipeline-default-1"]');
INSERT INTO "deliveries" VALUES(2,'customhttp','build.start','/customhttp','{}',X'7B2274797065223A226275696C64222C226964223A2232222C22616374696F6E223A227374617274222C2274696D657374616D70223A313737323434353630313030303030302C22706172656E746964223A22767374726163652D637573746F6D687474702D706970656C696E652D64656661756C742D31222C2274616773223A7B22636F6D6D6974223A2263636363636363636363636363636363636363636363636363636363636363636363636363636363227D7D',X'D8B6012EF989AFC22FEC1C9E28C7593AEC396A1429C28A659C40B3937364A3B8',1772445601000000,'sha:b6cb161cf93446e4712759c4cf1170471115c10987dbaae2b65efba2e7afb916','accepted','',200,0,1,'["vstrace-customhttp-build-default-2"]');
INSERT INTO "deliveries" VALUES(3,'customhttp','build.end','/customhttp','{}',X'7B2274797065223A226275696C64222C226964223A2232222C22616374696F6E223A22656E64222C2274696D657374616D70223A313737323434353636303030303030302C22706172656E746964223A22767374726163652D637573746F6D687474702D706970656C696E652D64656661756C742D31227D',X'0A0BF243DBC251BFA8869BBBC4A20462B21D841A67BAB9AC8227F3EC0997598A',1772445660000000,'sha:0acfd6524cc8856c5cdd4e0961d4b048ce2e2fb8996b3131c29a058d6c0e82b4','accepted','',200,0,1,'["vstrace-customhttp-build-default-2"]');
INSERT INTO "deliveries" VALUES(4,'customhttp','step.start','/customhttp','{}',X'7B2274797065223A2273746570222C226964223A2233222C22616374696F6E223A227374617274222C2274696D657374616D70223A313737323434353630323030303030302C22706172656E746964223A22767374726163652D637573746F6D687474702D6275696C642D64656661756C742D32227D',X'4043D50DD8FCBC5323FD2C9DB0A0BD943CAD55612845980FB8871EB1BBA9BE4D',1772445602000000,'sha:0f29d5a70871cc227857a0c9e9e93585aec93f0af8937d873486c5bc85cd19b2','accepted','',200,0,1,'["vstrace-customhttp-step-default-3"]');
INSERT INTO "deliveries" VALUES(5,'customhttp','step.end','/customhttp','{}',X'7B2274797065223A2273746570222C226964223A2233222C22616374696F6E223A22656E64222C2274696D657374616D70223A313737323434353630393030303030302C226572726F72223A747275657D',X'50FBFAC9A7A68C9B8921F25B63AF2AB5BC0CBF25D4FBE62C0E0B08308D5196C3',1772445609000000,'sha:248edec14b3e4016db1e09800ea2365bc10b387feb2769670ffc8ae551b0564f','accepted','',200,0,1,'["vstrace-customhttp-step-default-3"]');
INSERT INTO "deliveries" VALUES(6,'customhttp','deploy.start','/customhttp','{}',X'7B2274797065223A226465706C6F79222C226964223A2234222C22616374696F6E223A227374617274222C2274696D657374616D70223A313737323434353637303030303030302C2274616773223A7B22636F6D6D6974223A2263636363636363636363636363636363636363636363636363636363636363636363636363636363222C22656E7669726F6E6D656E74223A2270726F64227D7D',X'9D25D94B5AB1B723EA1785B9920A8E9DFE2672928547AAF97CAD0E52744D87C7',1772445670000000,'sha:0577b80000d665267e0927aa3247fc4e8116f3e7c32cf09605b179ad86472872','accepted','',200,0,1,'["vstrace-customhttp-deploy-default-4"]');
INSERT INTO "deliveries" VALUES(7,'customhttp','deploy.end','/customhttp','{}',X'7B2274797065223A226465706C6F79222C226964223A2234222C22616374696F6E223A22656E64222C2274696D657374616D70223A313737323434353639303030303030307D',X'ACE3CFBBA031CC0D633558D3370C116BEB4CE3CF9C381A2050038726C677E8A6',1772445690000000,'sha:bd8da7f737e05dd27e7fcbdff4a8416da37e1d2e0151b0fac36e294cee98e6d4','accepted','',200,1,1,'["vstrace-customhttp-deploy-default-4"]');
CREATE TABLE dora_blames (
    incident TEXT NOT NULL,
    deployment TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (incident, deployment)
) WITHOUT ROWID;
CREATE TABLE dora_changes (
    deployment TEXT NOT NULL,
    change TEXT NOT NULL,
    unit INTEGER NOT NULL,
    target TEXT NOT NULL,
    at INTEGER NOT NULL,
    lead INTEGER NOT NULL,
    basis INTEGER NOT NULL,
    stages BLOB NOT NULL,
    first INTEGER NOT NULL,
    PRIMARY KEY (deployment, change)
) WITHOUT ROWID;
INSERT INTO "dora_changes" VALUES('vstrace-customhttp-deploy-default-4','default@cccccccccccccccccccccccccccccccccccccccc',0,'',1772445690000000,89000000,2,X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC0448403000000008096980000000000002D310100000000',273);
CREATE TABLE "dora_deployments" (
    id INTEGER PRIMARY KEY,
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
    failed INTEGER NOT NULL,
    rework INTEGER NOT NULL,
    version TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    product_group TEXT NOT NULL,
    reasons TEXT NOT NULL,
    repair TEXT NOT NULL,
    verdict TEXT NOT NULL
);
INSERT INTO "dora_deployments" VALUES(1,'vstrace-customhttp-deploy-default-4','vstrace-customhttp-deploy-default-4',0,1,'default','','prod',1772445670000000,1772445690000000,'ok',0,0,'cccccccccccccccccccccccccccccccccccccccc','cccccccccccccccccccccccccccccccccccccccc','','','','{"deployment":{"key":"vstrace-customhttp-deploy-default-4","run_of":"","project":"default","service":"","environment":"prod","started_at":1772445670000000,"ended_at":1772445690000000,"outcome":"ok","reason":"","version":"","commit":"cccccccccccccccccccccccccccccccccccccccc","branch":"","product":"","correlation":"","artifact":"","team":"","first_commit_at":null,"marked":"","name":"deploy 4","trace_id":"7ee1998e4d6bbed5a4b5d505ea1cda0d","attempts":1},"signals":[],"rework":"","shipped":[{"change":{"key":"default@cccccccccccccccccccccccccccccccccccccccc","kind":"commit","title":"","project":"default","author":"","first_commit_at":null,"opened_at":null,"reviewed_at":null,"approved_at":null,"merged_at":null,"commits":[],"branch":""},"deployed_at":1772445690000000,"started_at":1772445601000000,"basis":"first build","stages":{"build":59000000,"deploy wait":10000000,"deploy":20000000}}],"blames":[]}');
CREATE TABLE dora_episodes (
    deployment TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (deployment, started_at)
) WITHOUT ROWID;
CREATE TABLE dora_incidents (
    key TEXT PRIMARY KEY,
    team TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    restored_at INTEGER,
    finished_at INTEGER,
    deployed_at INTEGER
) WITHOUT ROWID;
CREATE TABLE dora_members (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    records TEXT NOT NULL
);
CREATE TABLE dora_pages (
    id INTEGER PRIMARY KEY,
    strand INTEGER NOT NULL,
    kind TEXT NOT NULL,
    lo INTEGER NOT NULL,
    hi INTEGER NOT NULL,
    n INTEGER NOT NULL,
    data BLOB NOT NULL
);
INSERT INTO "dora_pages" VALUES(1,1,'begun',1772445670000000,1772445670000000,1,X'010000000000000080458BAA074C0600');
INSERT INTO "dora_pages" VALUES(2,1,'deployments',1772445690000000,1772445690000000,1,X'01000000000000008072BCAB074C060000000000D012734101000000000000D0127341');
INSERT INTO "dora_pages" VALUES(3,1,'changes',1772445690000000,1772445690000000,1,X'01000000000000008072BCAB074C06000000000021389541020000000021389541');
INSERT INTO "dora_pages" VALUES(4,1,'stages',1772445690000000,1772445690000000,1,X'01000000000000008072BCAB074C0600000000000000F0BF000000000000F0BF000000000000F0BF000000000000F0BF0000000026228C4100000000D012634100000000D0127341000000000000F0BF000000000000F0BF000000000000F0BF000000000000F0BF0000000026228C4100000000D012634100000000D0127341');
INSERT INTO "dora_pages" VALUES(5,2,'begun',1772445670000000,1772445670000000,1,X'010000000000000080458BAA074C0600');
INSERT INTO "dora_pages" VALUES(6,2,'deployments',1772445690000000,1772445690000000,1,X'01000000000000008072BCAB074C060000000000D012734101000000000000D0127341');
INSERT INTO "dora_pages" VALUES(7,2,'changes',1772445690000000,1772445690000000,1,X'01000000000000008072BCAB074C06000000000021389541020000000021389541');
INSERT INTO "dora_pages" VALUES(8,3,'begun',1772445670000000,1772445670000000,1,X'010000000000000080458BAA074C0600');
INSERT INTO "dora_pages" VALUES(9,3,'deployments',1772445690000000,1772445690000000,1,X'01000000000000008072BCAB074C060000000000D012734101000000000000D0127341');
INSERT INTO "dora_pages" VALUES(10,3,'changes',1772445690000000,1772445690000000,1,X'01000000000000008072BCAB074C06000000000021389541020000000021389541');
CREATE TABLE dora_places (
    id INTEGER PRIMARY KEY,
    team TEXT NOT NULL,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    product TEXT NOT NULL,
    UNIQUE (team, project, service, environment, product)
);
INSERT INTO "dora_places" VALUES(1,'','default','','prod','');
CREATE TABLE dora_strands (
    id INTEGER PRIMARY KEY,
    level TEXT NOT NULL,
    team TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (level, team, name)
);
INSERT INTO "dora_strands" VALUES(1,'all','','');
INSERT INTO "dora_strands" VALUES(2,'project','','default');
INSERT INTO "dora_strands" VALUES(3,'environment','','prod');
CREATE TABLE events (
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (key, digest)
) WITHOUT ROWID;
INSERT INTO "events" VALUES('vstrace-customhttp-build-default-2',X'32274486AD810AC3AD03F486EAEB7A5E',X'5B22767374726163652D637573746F6D687474702D6275696C642D64656661756C742D32222C22637573746F6D68747470222C226275696C64222C332C313737323434353630313030303030302C302C6E756C6C2C66616C73652C22222C22222C226275696C642032222C2264656661756C74222C22222C22222C22222C22222C312C22222C22222C22222C7B22636F6D6D6974223A2263636363636363636363636363636363636363636363636363636363636363636363636363636363227D2C5B5B226275696C74222C2263636363636363636363636363636363636363636363636363636363636363636363636363636363222C22222C22636F6D6D6974225D5D2C5B5B226578706C69636974222C22726566222C22767374726163652D637573746F6D687474702D706970656C696E652D64656661756C742D31222C22222C22222C66616C73655D2C5B22636F6D6D6974222C22636F6D6D6974222C2263636363636363636363636363636363636363636363636363636363636363636363636363636363222C22222C22636F6D6D6974222C66616C73655D5D5D');
INSERT INTO "events" VALUES('vstrace-customhttp-build-default-2',X'CD33F206F301098F01544CB0C8CF24AA',X'5B22767374726163652D637573746F6D687474702D6275696C642D64656661756C742D32222C22637573746F6D68747470222C226275696C64222C342C313737323434353636303030303030302C302C6E756C6C2C66616C73652C22222C22222C226275696C642032222C2264656661756C74222C22222C22222C22222C22222C312C22222C22222C22222C7B7D2C5B5D2C5B5B226578706C69636974222C22726566222C22767374726163652D637573746F6D687474702D706970656C696E652D64656661756C742D31222C22222C22222C66616C73655D5D5D');
INSERT INTO "events" VALUES('vstrace-customhttp-deploy-default-4',X'892FA147CD59340FB173EADBC64BC001',X'5B22767374726163652D637573746F6D687474702D6465706C6F792D64656661756C742D34222C22637573746F6D68747470222C226465706C6F79222C332C313737323434353637303030303030302C302C6E756C6C2C66616C73652C22222C22222C226465706C6F792034222C2264656661756C74222C22222C2270726F64222C22222C22222C312C22222C22222C22222C7B22636F6D6D6974223A2263636363636363636363636363636363636363636363636363636363636363636363636363636363222C22656E7669726F6E6D656E74223A2270726F64227D2C5B5D2C5B5B22636F6D6D6974222C22636F6D6D6974222C2263636363636363636363636363636363636363636363636363636363636363636363636363636363222C22222C22636F6D6D6974222C66616C73655D2C5B226275696C74222C226275696C74222C2263636363636363636363636363636363636363636363636363636363636363636363636363636363222C22222C22636F6D6D6974222C66616C73655D5D5D');
INSERT INTO "events" VALUES('vstrace-customhttp-deploy-default-4',X'BF1AAD4192BB42974156FE90DA06B3C6',X'5B22767374726163652D637573746F6D687474702D6465706C6F792D64656661756C742D34222C22637573746F6D68747470222C226465706C6F79222C342C313737323434353639303030303030302C302C6E756C6C2C66616C73652C22222C22222C226465706C6F792034222C2264656661756C74222C22222C22222C22222C22222C312C22222C22222C22222C7B7D2C5B5D2C5B5D5D');
INSERT INTO "events" VALUES('vstrace-customhttp-pipeline-default-1',X'22DE0E1DDE207352830D339ADF38831E',X'5B22767374726163652D637573746F6D687474702D706970656C696E652D64656661756C742D31222C22637573746F6D68747470222C22706970656C696E65222C332C313737323434353630303030303030302C302C6E756C6C2C66616C73652C22222C22222C2272656C65617365222C2264656661756C74222C22222C22222C22222C22222C312C22222C22222C22222C7B7D2C5B5D2C5B5D5D');
INSERT INTO "events" VALUES('vstrace-customhttp-step-default-3',X'424AB435565D70AA5B2CE0A7908D772E',X'5B22767374726163652D637573746F6D687474702D737465702D64656661756C742D33222C22637573746F6D68747470222C2273746570222C362C313737323434353630393030303030302C302C6E756C6C2C66616C73652C22222C22222C22737465702033222C2264656661756C74222C22222C22222C22222C22222C312C226661696C757265222C22222C22222C7B7D2C5B5D2C5B5D5D');
INSERT INTO "events" VALUES('vstrace-customhttp-step-default-3',X'948B7E73CFF1819D2BA5B69EE98FBC26',X'5B22767374726163652D637573746F6D687474702D737465702D64656661756C742D33222C22637573746F6D68747470222C2273746570222C332C313737323434353630323030303030302C302C6E756C6C2C66616C73652C22222C22222C22737465702033222C2264656661756C74222C22222C22222C22222C22222C312C22222C22222C22222C7B7D2C5B5D2C5B5B226578706C69636974222C22726566222C22767374726163652D637573746F6D687474702D6275696C642D64656661756C742D32222C22222C22222C66616C73655D5D5D');
CREATE TABLE links (
    child TEXT NOT NULL,
    parent TEXT NOT NULL,
    rule TEXT NOT NULL,
    why TEXT NOT NULL,
    is_primary INTEGER NOT NULL,
    PRIMARY KEY (child, parent)
) WITHOUT ROWID;
INSERT INTO "links" VALUES('vstrace-customhttp-build-default-2','vstrace-customhttp-pipeline-default-1','explicit','named as parent',1);
INSERT INTO "links" VALUES('vstrace-customhttp-deploy-default-4','vstrace-customhttp-build-default-2','built','built commit ccccccc',1);
INSERT INTO "links" VALUES('vstrace-customhttp-step-default-3','vstrace-customhttp-build-default-2','explicit','named as parent',1);
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('dora','(3, {''production'': (''prod'', ''production'', ''live'', ''live-*'', ''prd'')}, ())');
INSERT INTO "meta" VALUES('seq',9);
INSERT INTO "meta" VALUES('teams','()');
CREATE TABLE offers (
    token TEXT NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    key TEXT NOT NULL,
    via TEXT NOT NULL,
    PRIMARY KEY (token, scope, value, key, via)
) WITHOUT ROWID;
INSERT INTO "offers" VALUES('built:ccccccc','','cccccccccccccccccccccccccccccccccccccccc','vstrace-customhttp-build-default-2','commit');
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
INSERT INTO "rejections" VALUES(1,'github','request','/github',1772445600000000,401,'unauthorized: missing proof',10,0,'{}',X'');
CREATE TABLE report_jobs (id INTEGER PRIMARY KEY, project TEXT NOT NULL, job TEXT NOT NULL);
INSERT INTO "report_jobs" VALUES(1,'default','build 2');
CREATE TABLE report_kinds (
    id INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,
    project TEXT NOT NULL,
    team TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    source TEXT NOT NULL,
    status TEXT NOT NULL,
    begun INTEGER NOT NULL
);
INSERT INTO "report_kinds" VALUES(1,'step','default','','','','customhttp','error',1);
INSERT INTO "report_kinds" VALUES(2,'build','default','','','','customhttp','ok',1);
INSERT INTO "report_kinds" VALUES(3,'deploy','default','','','prod','customhttp','ok',1);
CREATE TABLE report_pages (
    id INTEGER PRIMARY KEY,
    tree TEXT NOT NULL,
    level INTEGER NOT NULL,
    n INTEGER NOT NULL,
    part TEXT NOT NULL,
    data BLOB NOT NULL
);
INSERT INTO "report_pages" VALUES(1,'finished',0,103169,'kinds',X'010000000200000003000000010000000100000001000000');
INSERT INTO "report_pages" VALUES(2,'finished',0,103169,'totals',X'3137373234343536303130303030303020313737323434353637303030303030302037303030303030203539303030303030203230303030303030');
INSERT INTO "report_pages" VALUES(3,'finished',0,103169,'durations',X'00000000F0B35A410000000026228C4100000000D0127341');
INSERT INTO "report_pages" VALUES(4,'finished',0,103169,'started',X'80AC7DA6074C0600406A6EA6074C060080458BAA074C0600');
CREATE TABLE report_places (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    repo TEXT NOT NULL,
    team TEXT NOT NULL
);
CREATE TABLE report_runs (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    commit_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    team TEXT NOT NULL,
    before INTEGER NOT NULL,
    own_before INTEGER NOT NULL,
    mixed INTEGER NOT NULL
);
INSERT INTO "report_runs" VALUES(1,1,-4231231443784218699,1772445660000000,1,'',-1,-1,0);
CREATE TABLE report_stale (
    tree TEXT NOT NULL,
    level INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (tree, level, n)
) WITHOUT ROWID;
CREATE TABLE report_trees (tree TEXT PRIMARY KEY, kept_until INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "report_trees" VALUES('finished',1772447103713280);
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
INSERT INTO "seeks" VALUES('commit:ccccccc','vstrace-customhttp-build-default-2','commit','','cccccccccccccccccccccccccccccccccccccccc','commit',0);
INSERT INTO "seeks" VALUES('ref:vstrace-customhttp-pipeline-default-1','vstrace-customhttp-build-default-2','explicit','','vstrace-customhttp-pipeline-default-1','',0);
INSERT INTO "seeks" VALUES('built:ccccccc','vstrace-customhttp-deploy-default-4','built','','cccccccccccccccccccccccccccccccccccccccc','commit',0);
INSERT INTO "seeks" VALUES('commit:ccccccc','vstrace-customhttp-deploy-default-4','commit','','cccccccccccccccccccccccccccccccccccccccc','commit',0);
INSERT INTO "seeks" VALUES('ref:vstrace-customhttp-build-default-2','vstrace-customhttp-step-default-3','explicit','','vstrace-customhttp-build-default-2','',0);
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
INSERT INTO "spans" VALUES('vstrace-customhttp-pipeline-default-1','vstrace-customhttp-pipeline-default-1','vstrace-customhttp-pipeline-default-1','customhttp','pipeline','release','in_flight',3,1772445600000000,NULL,'default','','','','','',1,'',NULL,1772445600000000,0,NULL,'','{}','7ee1998e4d6bbed5a4b5d505ea1cda0d','7ee1998e4d6bbed5a4b5d505ea1cda0d','','default|pipeline|release',0,2);
INSERT INTO "spans" VALUES('vstrace-customhttp-build-default-2','vstrace-customhttp-build-default-2','vstrace-customhttp-build-default-2','customhttp','build','build 2','ok',4,1772445601000000,1772445660000000,'default','','','','','',1,'',NULL,1772445660000000,0,59000000,'','{"commit":"cccccccccccccccccccccccccccccccccccccccc"}','7ee1998e4d6bbed5a4b5d505ea1cda0d','27be364b4c1a21088a6f992c9b40dc73','vstrace-customhttp-pipeline-default-1','default|build|build 2',0,4);
INSERT INTO "spans" VALUES('vstrace-customhttp-step-default-3','vstrace-customhttp-step-default-3','vstrace-customhttp-step-default-3','customhttp','step','step 3','error',6,1772445602000000,1772445609000000,'default','','','','','',1,'',NULL,1772445609000000,0,7000000,'failure','{}','7ee1998e4d6bbed5a4b5d505ea1cda0d','5b5ca064eda3b0ed57af72af27573df1','vstrace-customhttp-build-default-2','default|step|step 3',0,6);
INSERT INTO "spans" VALUES('vstrace-customhttp-deploy-default-4','vstrace-customhttp-deploy-default-4','vstrace-customhttp-deploy-default-4','customhttp','deploy','deploy 4','ok',4,1772445670000000,1772445690000000,'default','','','prod','','',1,'',NULL,1772445690000000,0,20000000,'','{"commit":"cccccccccccccccccccccccccccccccccccccccc","environment":"prod"}','7ee1998e4d6bbed5a4b5d505ea1cda0d','1e3ea4f934e741101ee649776d715be8','vstrace-customhttp-build-default-2','default|deploy|>prod',0,8);
CREATE INDEX deliveries_dedupe ON deliveries (dedupe);
CREATE INDEX deliveries_quarantined ON deliveries (id) WHERE verdict = 'quarantined';
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
CREATE INDEX offers_key ON offers (key);
CREATE INDEX seeks_key ON seeks (key);
CREATE INDEX links_parent ON links (parent);
CREATE INDEX dora_changes_change ON dora_changes (change);
CREATE INDEX dora_episodes_target ON dora_episodes (project, service, environment, ended_at, at);
CREATE INDEX dora_blames_deployment ON dora_blames (deployment);
CREATE INDEX dora_incidents_started
    ON dora_incidents (started_at, team, restored_at, finished_at, deployed_at);
CREATE INDEX spans_deployed ON spans (project, service, environment, ended_at)
    WHERE operation = 'deploy';
CREATE INDEX spans_tested ON spans (project, service, environment, ended_at)
    WHERE operation = 'test' AND environment <> '';
CREATE INDEX spans_built ON spans (project, started_at)
    WHERE operation IN ('build', 'pipeline');
CREATE INDEX dora_deployments_ended ON dora_deployments (ended_at, place) WHERE unit <> 1;
CREATE INDEX dora_deployments_failed ON dora_deployments (ended_at, place, reasons)
    WHERE failed = 1 AND unit <> 1;
CREATE INDEX dora_deployments_repairs ON dora_deployments (ended_at, place, repair)
    WHERE rework = 1 AND unit <> 1;
CREATE INDEX dora_deployments_span ON dora_deployments (span);
CREATE INDEX dora_deployments_target
    ON dora_deployments (project, service, environment, ended_at);
CREATE INDEX dora_deployments_group ON dora_deployments (product_group)
    WHERE product_group <> '';
CREATE INDEX dora_deployments_commit ON dora_deployments (commit_id) WHERE commit_id <> '';
CREATE UNIQUE INDEX dora_pages_of ON dora_pages (strand, kind, lo, hi, n);
CREATE INDEX spans_requested ON spans (started_at) WHERE operation = 'pull_request';
CREATE UNIQUE INDEX report_pages_of ON report_pages (tree, level, n, part);
CREATE UNIQUE INDEX report_kinds_of ON report_kinds
    (operation, project, team, service, environment, source, status, begun);
CREATE UNIQUE INDEX report_jobs_of ON report_jobs (project, job);
CREATE INDEX report_runs_of ON report_runs (job, commit_id);
CREATE INDEX report_runs_in ON report_runs (job, at, before, own_before, team);
CREATE INDEX report_runs_at ON report_runs (mixed, at);
CREATE UNIQUE INDEX report_places_of ON report_places (owner, repo, team);
CREATE TRIGGER report_finished_gone AFTER DELETE ON spans WHEN OLD.ended_at IS NOT NULL AND OLD.derived = 0 BEGIN INSERT INTO report_stale SELECT 'finished', 0, OLD.ended_at >> 34 FROM report_trees WHERE tree = 'finished' AND kept_until > OLD.ended_at AND NOT EXISTS (SELECT 1 FROM report_stale WHERE tree = 'finished' AND level = 0 AND n = OLD.ended_at >> 34); END;
CREATE TRIGGER report_requests_gone AFTER DELETE ON spans WHEN OLD.operation = 'pull_request' AND OLD.status <> 'in_flight' AND OLD.started_at IS NOT NULL BEGIN INSERT INTO report_stale SELECT 'requests', 0, OLD.started_at >> 34 FROM report_trees WHERE tree = 'requests' AND kept_until > OLD.started_at AND NOT EXISTS (SELECT 1 FROM report_stale WHERE tree = 'requests' AND level = 0 AND n = OLD.started_at >> 34); END;
COMMIT;
