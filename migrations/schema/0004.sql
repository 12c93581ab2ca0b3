CREATE VIEW v_results AS
SELECT result.run, run.method AS suite, run.model, model.source AS model_source, run.parent, run.state, run.created,
       result.split, result.metric, result.sample, result.value, result.status
FROM result
JOIN run ON run.id = result.run
LEFT JOIN model ON model.fingerprint = run.model;

CREATE VIEW v_scores AS
SELECT score.run, run.method AS scorer, run.model, model.source AS model_source, run.state, run.created,
       held.role, held.dataset, held.position, score.sample, score.value, score.stderr, score.n, score.status,
       score.clamped, score.details, held.prompt, held.answer
FROM score
JOIN run ON run.id = score.run
LEFT JOIN model ON model.fingerprint = run.model
LEFT JOIN (
    SELECT run_dataset.run, run_dataset.role, dataset_row.dataset, dataset_row.position, dataset_row.sample,
           dataset_row.prompt, dataset_row.answer
    FROM run_dataset
    JOIN dataset_row ON dataset_row.dataset = run_dataset.dataset
) AS held ON held.run = score.run AND held.sample = score.sample;

CREATE TABLE aggregate (
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    reference TEXT NOT NULL,
    value REAL,
    reason TEXT,
    n INTEGER, low REAL, high REAL,
    PRIMARY KEY (run, name, reference),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE anchor (
    model TEXT NOT NULL,
    template TEXT NOT NULL,
    sample TEXT NOT NULL,
    logprob REAL NOT NULL,
    tokens INTEGER NOT NULL,
    PRIMARY KEY (model, template, sample)
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE block (
    series TEXT NOT NULL,
    draw INTEGER NOT NULL,
    sign INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    n INTEGER NOT NULL,
    c INTEGER NOT NULL,
    data BLOB NOT NULL,
    digest BLOB NOT NULL, seconds REAL,
    PRIMARY KEY (series, draw, sign, shard)
)
 STRICT

;

CREATE TABLE calibration (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE checkpoint (
    run TEXT NOT NULL,
    step INTEGER NOT NULL,
    file TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (run, step),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE dataset (
    fingerprint TEXT NOT NULL,
    label TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (fingerprint)
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE dataset_row (
    dataset TEXT NOT NULL,
    position INTEGER NOT NULL,
    sample TEXT,
    tokens INTEGER,
    status TEXT NOT NULL,
    prompt TEXT,
    answer TEXT,
    PRIMARY KEY (dataset, position),
    FOREIGN KEY(dataset) REFERENCES dataset (fingerprint) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE draw_order (
    run TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    scores TEXT,
    digest TEXT NOT NULL,
    PRIMARY KEY (run, epoch),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE event (
    id INTEGER NOT NULL,
    run TEXT,
    at TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 STRICT

;

CREATE TABLE figure (
    run TEXT NOT NULL,
    scores TEXT NOT NULL,
    split TEXT NOT NULL,
    metric TEXT NOT NULL,
    third TEXT NOT NULL,
    "key" TEXT NOT NULL,
    value REAL,
    n INTEGER NOT NULL,
    low REAL,
    high REAL,
    reason TEXT,
    PRIMARY KEY (run, scores, split, metric, third),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE generation (
    run TEXT NOT NULL,
    split TEXT NOT NULL,
    sample TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (run, split, sample),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE meta (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE model (
    fingerprint TEXT NOT NULL,
    source TEXT NOT NULL,
    architecture TEXT NOT NULL,
    parameters INTEGER NOT NULL,
    PRIMARY KEY (fingerprint)
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE probe (
    run TEXT NOT NULL,
    updates INTEGER NOT NULL,
    sample TEXT NOT NULL,
    nll REAL,
    swept INTEGER NOT NULL,
    PRIMARY KEY (run, updates, sample),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE reading (
    run TEXT NOT NULL,
    split TEXT NOT NULL,
    metric TEXT NOT NULL,
    "key" TEXT NOT NULL,
    PRIMARY KEY (run, split, metric),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE result (
    run TEXT NOT NULL,
    split TEXT NOT NULL,
    metric TEXT NOT NULL,
    sample TEXT NOT NULL,
    value REAL,
    status TEXT NOT NULL,
    PRIMARY KEY (run, split, metric, sample),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE run (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    state TEXT NOT NULL,
    method TEXT NOT NULL,
    model TEXT NOT NULL,
    config TEXT NOT NULL,
    environment TEXT NOT NULL,
    argv TEXT NOT NULL,
    seed INTEGER NOT NULL,
    parent TEXT,
    summary TEXT NOT NULL,
    exact INTEGER NOT NULL,
    created TEXT NOT NULL,
    beat TEXT NOT NULL,
    finished TEXT,
    error_code TEXT,
    error TEXT,
    series TEXT,
    host TEXT,
    boot TEXT,
    pid INTEGER,
    started TEXT, note TEXT,
    PRIMARY KEY (id),
    CONSTRAINT run_identity UNIQUE (kind, identity),
    FOREIGN KEY(parent) REFERENCES run (id) ON DELETE SET NULL
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE run_dataset (
    run TEXT NOT NULL,
    role TEXT NOT NULL,
    dataset TEXT NOT NULL,
    PRIMARY KEY (run, role),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE,
    FOREIGN KEY(dataset) REFERENCES dataset (fingerprint)
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE run_tag (
    run TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (run, tag),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE score (
    run TEXT NOT NULL,
    sample TEXT NOT NULL,
    value REAL,
    stderr REAL,
    n INTEGER NOT NULL,
    status TEXT NOT NULL,
    clamped INTEGER NOT NULL, details TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (run, sample),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE step (
    run TEXT NOT NULL,
    step INTEGER NOT NULL,
    terms TEXT NOT NULL,
    PRIMARY KEY (run, step),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE INDEX dataset_row_sample ON dataset_row (sample);

CREATE INDEX event_run ON event (run);

CREATE INDEX reading_key ON reading ("key");

CREATE INDEX run_created ON run (created);

CREATE INDEX run_dataset_dataset ON run_dataset (dataset);

CREATE INDEX run_model ON run (model);

CREATE INDEX run_parent ON run (parent);

CREATE INDEX run_series ON run (series);

CREATE INDEX run_tag_tag ON run_tag (tag);
