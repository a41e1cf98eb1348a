//! The catalogue of snapshots: a copy of what the repositories have, for listings. It is refreshed in the
//! background, and nothing but listings depends on it.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use crate::Store;
use crate::db::{Filter, Row, Tx, json, values};
use crate::error::Result;
use crate::runs::{VerdictKind, words};
use crate::types::{HostId, Page, PageSize, PlanId, RepositoryId, SnapshotId, Tag, UtcTime};

/// Words of a snapshot that are searched for, at most; the rest isn't found.
const WORDS_MAX: usize = 256;
/// Words that are searched for at once, at most: the rest is not looked at.
const WANTED_MAX: usize = 16;
/// Characters of a word, at most.
const WORD_CHARS_MAX: usize = 64;

words! {
    /// What was shown of a snapshot.
    ProofKind {
        /// What it is made of was read and verified.
        Check = "check",
        /// It was restored on trial.
        Drill = "drill",
    }
}

/// What a check or drill has shown of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// What it has shown.
    pub verdict: VerdictKind,
    /// When.
    pub at: UtcTime,
}

/// A snapshot of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The repository.
    pub repository: RepositoryId,
    /// The snapshot.
    pub id: SnapshotId,
    /// Of which moment it is.
    pub time: UtcTime,
    /// Whose data it has.
    pub host: HostId,
    /// The plan that made it, if one did.
    pub plan: Option<PlanId>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// How many files it has.
    pub files: u64,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Bytes that it has added to the repository.
    pub new_bytes: u64,
    /// Whether its run found nothing wrong.
    pub clean: bool,
    /// Whether no policy and no one who forgets removes it.
    pub protected: bool,
    /// What the newest check has shown.
    pub checked: Option<Proof>,
    /// What the newest drill has shown.
    pub drilled: Option<Proof>,
}

/// A place in the order of snapshots.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SnapshotKey {
    time: UtcTime,
    repository: RepositoryId,
    id: SnapshotId,
}

/// Which snapshots a listing has: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// In this repository.
    pub repository: Option<RepositoryId>,
    /// Of this host.
    pub host: Option<HostId>,
    /// Of this plan.
    pub plan: Option<PlanId>,
    /// With all of these tags.
    pub tags: Vec<Tag>,
    /// With all of these words in the names of host, plan and tags, in any case. A word is what stands between
    /// two characters that are neither letters nor digits.
    pub search: String,
    /// From this moment on.
    pub from: Option<UtcTime>,
    /// Before this moment.
    pub until: Option<UtcTime>,
    /// That are protected, or that aren't.
    pub protected: Option<bool>,
}

/// The columns of [`Snapshot::from_row`].
macro_rules! snapshot_columns {
    () => {
        "snapshot.repository, snapshot.id, snapshot.time, host, plan, tags, files, size_bytes, new_bytes, \
         clean, protected, checked, checked_at, drilled, drilled_at"
    };
}

impl Snapshot {
    fn from_row(row: &Row) -> Result<Self> {
        let proof = |verdict: &str, at: &str| -> Result<Option<Proof>> {
            let Some(at) = row.optional_time(at)? else { return Ok(None) };
            Ok(Some(Proof { verdict: row.word(verdict, VerdictKind::parse)?, at }))
        };
        Ok(Self {
            repository: row.name("repository")?,
            id: row.name("id")?,
            time: row.time("time")?,
            host: row.name("host")?,
            plan: row.optional_name("plan")?,
            tags: row.json("tags")?,
            files: row.count("files")?,
            size_bytes: row.count("size_bytes")?,
            new_bytes: row.count("new_bytes")?,
            clean: row.integer("clean")? != 0,
            protected: row.integer("protected")? != 0,
            checked: proof("checked", "checked_at")?,
            drilled: proof("drilled", "drilled_at")?,
        })
    }

    fn key(&self) -> SnapshotKey {
        SnapshotKey { time: self.time, repository: self.repository.clone(), id: self.id.clone() }
    }

    /// What it is found by.
    fn words(&self) -> BTreeSet<String> {
        let tags = self.tags.iter();
        let mut words: BTreeSet<String> = tags.clone().map(tag_word).collect();
        let names = [self.host.as_str()].into_iter().chain(self.plan.as_ref().map(PlanId::as_str));
        for name in names.chain(tags.map(Tag::as_str)) {
            words.extend(words_of(name));
        }
        words.into_iter().take(WORDS_MAX).collect()
    }
}

impl SnapshotFilter {
    /// What a snapshot must be found by.
    fn words(&self) -> Vec<String> {
        self.tags.iter().map(tag_word).chain(words_of(&self.search)).take(WANTED_MAX).collect()
    }
}

/// A whole tag; the sign is in no word.
fn tag_word(tag: &Tag) -> String {
    format!("#{tag}")
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().take(WORD_CHARS_MAX).collect::<String>().to_lowercase())
}

/// Sizes as the database has them.
fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Store {
    /// Adds snapshots to the catalogue, or replaces what it says of them. What was shown of a snapshot stays,
    /// unless something newer is given.
    pub async fn store_snapshots(&self, snapshots: &[Snapshot]) -> Result<()> {
        let mut tx = self.begin("storing snapshots").await?;
        tx.take_turns(CATALOGUE).await?;
        for snapshot in snapshots {
            store(&mut tx, snapshot).await?;
        }
        tx.wake();
        tx.commit().await
    }

    /// Removes snapshots from the catalogue: their repository has them no more.
    pub async fn remove_snapshots(&self, repository: &RepositoryId, ids: &[SnapshotId]) -> Result<()> {
        let mut tx = self.begin("removing snapshots from the catalogue").await?;
        tx.take_turns(CATALOGUE).await?;
        for id in ids {
            let key = || values![repository.as_str(), id.as_str()];
            tx.execute("DELETE FROM snapshot WHERE repository = $1 AND id = $2", key()).await?;
            tx.execute("DELETE FROM snapshot_word WHERE repository = $1 AND id = $2", key()).await?;
        }
        tx.wake();
        tx.commit().await
    }

    /// The ids of the catalogue's snapshots of a repository that come after one, in the order of ids, and whether each is
    /// protected: to compare them with what the repository has.
    pub async fn snapshot_ids(
        &self,
        repository: &RepositoryId,
        after: Option<&SnapshotId>,
        size: PageSize,
    ) -> Result<Vec<(SnapshotId, bool)>> {
        let sql = "SELECT id, protected FROM snapshot WHERE repository = $1 AND id > $2 ORDER BY id LIMIT $3";
        let after = after.map_or("", SnapshotId::as_str);
        let values = values![repository.as_str(), after, size.rows()];
        let rows = self.db.rows("reading ids of snapshots", sql, values).await?;
        rows.iter().map(|row| Ok((row.name("id")?, row.integer("protected")? != 0))).collect()
    }

    /// Says of snapshots of the catalogue whether they are protected.
    pub async fn set_protected(
        &self,
        repository: &RepositoryId,
        ids: &[SnapshotId],
        protected: bool,
    ) -> Result<()> {
        let mut tx = self.begin("storing which snapshots are protected").await?;
        tx.take_turns(CATALOGUE).await?;
        let sql = "UPDATE snapshot SET protected = $3 WHERE repository = $1 AND id = $2";
        for id in ids {
            tx.execute(sql, values![repository.as_str(), id.as_str(), i64::from(protected)]).await?;
        }
        tx.wake();
        tx.commit().await
    }

    /// Remembers that the catalogue was like a repository at a moment.
    pub async fn store_catalogue_refreshed(&self, repository: &RepositoryId, at: UtcTime) -> Result<()> {
        let mut tx = self.begin("storing when the catalogue was refreshed").await?;
        let sql = "INSERT INTO counter (name, last) VALUES ($1, $2) \
                   ON CONFLICT (name) DO UPDATE SET last = excluded.last";
        tx.execute(sql, values![format!("{REFRESHED}{repository}"), at.as_micros()]).await?;
        tx.commit().await
    }

    /// When the catalogue was last like a repository; nothing if it never was.
    pub async fn catalogue_refreshed(&self, repository: &RepositoryId) -> Result<Option<UtcTime>> {
        let sql = "SELECT last FROM counter WHERE name = $1";
        let name = format!("{REFRESHED}{repository}");
        let row = self.db.row("reading when the catalogue was refreshed", sql, values![name]).await?;
        row.map(|row| row.integer("last").map(UtcTime::from_micros)).transpose()
    }

    /// A snapshot of the catalogue.
    pub async fn snapshot(&self, repository: &RepositoryId, id: &SnapshotId) -> Result<Option<Snapshot>> {
        let values = values![repository.as_str(), id.as_str()];
        let row = self.db.row("reading a snapshot", BY_ID, values).await?;
        row.as_ref().map(Snapshot::from_row).transpose()
    }

    /// Stores what a check or drill has shown; false if the catalogue doesn't have the snapshot.
    pub async fn store_proof(
        &self,
        repository: &RepositoryId,
        id: &SnapshotId,
        kind: ProofKind,
        proof: Proof,
    ) -> Result<bool> {
        let mut tx = self.begin("storing what was shown of a snapshot").await?;
        let sql = match kind {
            ProofKind::Check => {
                "UPDATE snapshot SET checked = $3, checked_at = $4 WHERE repository = $1 AND id = $2"
            }
            ProofKind::Drill => {
                "UPDATE snapshot SET drilled = $3, drilled_at = $4 WHERE repository = $1 AND id = $2"
            }
        };
        let values = values![repository.as_str(), id.as_str(), proof.verdict.as_str(), proof.at];
        let done = tx.execute(sql, values).await? == 1;
        tx.wake();
        tx.commit().await?;
        Ok(done)
    }

    /// A page of snapshots, the newest first: from before one, or from the newest.
    pub async fn snapshots(
        &self,
        filter: &SnapshotFilter,
        before: Option<&SnapshotKey>,
        size: PageSize,
    ) -> Result<Page<Snapshot, SnapshotKey>> {
        let words = self.rarest_first(filter.words()).await?;
        let (sql, values) = listing(filter, words, before, size);
        let rows = self.db.rows("listing snapshots", AssertSqlSafe(sql), values).await?;
        let rows = rows.iter().map(Snapshot::from_row).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len())).map(Snapshot::key);
        Ok(Page { rows, next })
    }

    /// Puts a word first that few snapshots have: a listing goes through the snapshots of the first word.
    async fn rarest_first(&self, mut words: Vec<String>) -> Result<Vec<String>> {
        let mut rarest = (i64::MAX, 0);
        for (number, word) in words.iter().enumerate().filter(|_| words.len() > 1) {
            let row = self.db.row("counting a word", FREQUENCY, values![word.as_str(), FREQUENT]).await?;
            let count = row.map_or(Ok(0), |row| row.integer("frequency"))?;
            rarest = rarest.min((count, number));
        }
        if !words.is_empty() {
            words.swap(0, rarest.1);
        }
        Ok(words)
    }

    /// Snapshots whose ids begin with this, at most a page of them, in the order of ids.
    pub async fn snapshots_by_prefix(&self, prefix: &str, size: PageSize) -> Result<Vec<Snapshot>> {
        let values = values![prefix, format!("{prefix}\u{10ffff}"), size.rows()];
        let rows = self.db.rows("looking for a snapshot", BY_PREFIX, values).await?;
        rows.iter().map(Snapshot::from_row).collect()
    }
}

const BY_PREFIX: &str = concat!(
    "SELECT ",
    snapshot_columns!(),
    " FROM snapshot WHERE id >= $1 AND id < $2 ORDER BY id, repository LIMIT $3"
);

const BY_ID: &str =
    concat!("SELECT ", snapshot_columns!(), " FROM snapshot WHERE repository = $1 AND id = $2");
/// What the names of counters begin with that are the moments of refreshes; the repository follows.
const REFRESHED: &str = "catalogue of ";

/// Words of this many snapshots are equally frequent.
const FREQUENT: i64 = 2000;
const FREQUENCY: &str = "SELECT COUNT(*) AS frequency FROM \
    (SELECT word FROM snapshot_word WHERE word = $1 LIMIT $2) AS found";

/// Two servers that change the same rows in different orders would wait for each other.
const CATALOGUE: i64 = 0x6b66_6361_7461_6c6f;

async fn store(tx: &mut Tx, snapshot: &Snapshot) -> Result<()> {
    let Snapshot { repository, id, time, host, plan, tags, .. } = snapshot;
    tx.execute(
        "INSERT INTO snapshot (repository, id, time, host, plan, tags, files, size_bytes, new_bytes, clean, \
         protected, checked, checked_at, drilled, drilled_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (repository, id) DO UPDATE SET time = excluded.time, host = excluded.host, \
         plan = excluded.plan, tags = excluded.tags, files = excluded.files, \
         size_bytes = excluded.size_bytes, new_bytes = excluded.new_bytes, clean = excluded.clean, \
         protected = excluded.protected, \
         checked = COALESCE(excluded.checked, snapshot.checked), \
         checked_at = COALESCE(excluded.checked_at, snapshot.checked_at), \
         drilled = COALESCE(excluded.drilled, snapshot.drilled), \
         drilled_at = COALESCE(excluded.drilled_at, snapshot.drilled_at)",
        values![
            repository.as_str(),
            id.as_str(),
            *time,
            host.as_str(),
            plan.as_ref().map(PlanId::as_str),
            json(tags),
            bytes(snapshot.files),
            bytes(snapshot.size_bytes),
            bytes(snapshot.new_bytes),
            i64::from(snapshot.clean),
            i64::from(snapshot.protected),
            snapshot.checked.map(|proof| proof.verdict.as_str()),
            snapshot.checked.map(|proof| proof.at),
            snapshot.drilled.map(|proof| proof.verdict.as_str()),
            snapshot.drilled.map(|proof| proof.at),
        ],
    )
    .await?;
    let key = values![repository.as_str(), id.as_str()];
    tx.execute("DELETE FROM snapshot_word WHERE repository = $1 AND id = $2", key).await?;
    for word in snapshot.words() {
        tx.execute(
            "INSERT INTO snapshot_word (word, time, repository, id) VALUES ($1, $2, $3, $4)",
            values![word, *time, repository.as_str(), id.as_str()],
        )
        .await?;
    }
    Ok(())
}

fn listing(
    filter: &SnapshotFilter,
    words: Vec<String>,
    before: Option<&SnapshotKey>,
    size: PageSize,
) -> (String, Vec<crate::db::Value>) {
    let mut wanted = Filter::new();
    // The index of the first word has the order too; without a word, that of the snapshots themselves has it.
    let by_word = !words.is_empty();
    let place = match before {
        Some(key) => values![key.time, key.repository.as_str(), key.id.as_str()],
        // Before all names: what is of that moment itself isn't listed.
        None => values![filter.until.unwrap_or(UtcTime::MAX), "", ""],
    };
    let mut words = words.into_iter();
    if let Some(first) = words.next() {
        wanted.add("w.word = ", first);
        wanted.add_row("(w.time, w.repository, w.id) < ", place);
        wanted.add_if("w.time >= ", filter.from);
    } else {
        wanted.add_row("(time, repository, id) < ", place);
        wanted.add_if("time >= ", filter.from);
    }
    if before.is_some() {
        wanted.add_if("snapshot.time < ", filter.until);
    }
    for word in words {
        wanted.add_in_brackets(
            "EXISTS (SELECT 1 FROM snapshot_word AS other WHERE other.time = snapshot.time \
             AND other.repository = snapshot.repository AND other.id = snapshot.id AND other.word = ",
            word,
        );
    }
    let repository = filter.repository.as_ref().map(RepositoryId::as_str);
    if by_word {
        // An expression: SQLite would otherwise sort what already is in order.
        wanted.add_if("snapshot.repository || '' = ", repository);
    } else {
        wanted.add_if("repository = ", repository);
    }
    wanted.add_if("host = ", filter.host.as_ref().map(HostId::as_str));
    wanted.add_if("plan = ", filter.plan.as_ref().map(PlanId::as_str));
    match filter.protected {
        // As the index of these says it.
        Some(true) => wanted.add_text("protected = 1"),
        Some(false) => wanted.add_text("protected = 0"),
        None => {}
    }
    if by_word {
        let select = concat!(
            "SELECT ",
            snapshot_columns!(),
            " FROM snapshot_word AS w JOIN snapshot ON snapshot.repository = w.repository \
             AND snapshot.id = w.id"
        );
        wanted.select(select, "w.time DESC, w.repository DESC, w.id DESC", size)
    } else {
        let select = concat!("SELECT ", snapshot_columns!(), " FROM snapshot");
        wanted.select(select, "time DESC, repository DESC, id DESC", size)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{BY_PREFIX, SnapshotFilter, SnapshotKey, listing, words_of};
    use crate::db::tests::assert_searches;
    use crate::types::{HostId, PageSize, PlanId, RepositoryId, SnapshotId, Tag, UtcTime};

    #[test]
    fn names_are_split_into_words() {
        let words = |text| words_of(text).collect::<Vec<_>>();
        assert_eq!(words("Web-01.Example_été"), ["web", "01", "example", "été"]);
        assert_eq!(words("--"), Vec::<String>::new());
    }

    #[tokio::test]
    async fn listings_of_snapshots_never_scan() {
        let all = || SnapshotFilter::default();
        let repository = || Some(RepositoryId::new("r").unwrap());
        let tags = || vec![Tag::new("t").unwrap()];
        let filters = [
            all(),
            SnapshotFilter { repository: repository(), ..all() },
            SnapshotFilter { host: Some(HostId::new("h").unwrap()), ..all() },
            SnapshotFilter { plan: Some(PlanId::new("p").unwrap()), ..all() },
            SnapshotFilter { plan: Some(PlanId::new("p").unwrap()), repository: repository(), ..all() },
            SnapshotFilter { tags: tags(), ..all() },
            SnapshotFilter { search: "one two".to_owned(), tags: tags(), repository: repository(), ..all() },
            SnapshotFilter { from: Some(UtcTime::from_micros(1)), until: Some(UtcTime::MAX), ..all() },
            SnapshotFilter { protected: Some(true), ..all() },
            SnapshotFilter { protected: Some(false), ..all() },
        ];
        let key = SnapshotKey {
            time: UtcTime::from_micros(5),
            repository: RepositoryId::new("r").unwrap(),
            id: SnapshotId::new("s").unwrap(),
        };
        for filter in filters {
            for before in [None, Some(&key)] {
                let (sql, _) = listing(&filter, filter.words(), before, PageSize::MAX);
                assert_searches(&sql, &["snapshot"]).await;
            }
        }
        assert_searches(BY_PREFIX, &[]).await;
    }
}
