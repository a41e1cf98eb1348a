//! Users: their names, rights and passwords. What rights mean is the caller's business; the state only makes sure that
//! someone always may do everything.

use serde_json::Value as Document;

use crate::Store;
use crate::db::{AuditNote, Row, Tx, values};
use crate::error::{Result, StoreError};
use crate::types::{Generation, Label, StoredSecret, TokenHash, UserId, UserName, UtcTime};

/// Users at most: everything that lists them reads all.
pub const USERS_MAX: u64 = 10_000;
/// Changes of users take turns, so that two of them can't each take away the other one's administrator.
const CHANGING: i64 = 0x6b66_7573_6572_7300;

/// A user.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Identifies the user, whatever the name becomes.
    pub id: UserId,
    /// The name for signing in.
    pub name: UserName,
    /// The name for people.
    pub display: Label,
    /// The rights: a document of the caller's.
    pub grants: Document,
    /// Whether the rights are those of an administrator of everything.
    pub is_admin: bool,
    /// When the user was added.
    pub created: UtcTime,
    /// Since when the user can't do anything.
    pub disabled: Option<UtcTime>,
    /// When the user signed in last.
    pub last_login: Option<UtcTime>,
    /// Which of the user's states this is.
    pub generation: Generation,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether signing in needs a code too.
    pub has_totp: bool,
}

/// A user that is to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewUser {
    /// Made by the caller from random bits.
    pub id: UserId,
    /// The name for signing in.
    pub name: UserName,
    /// The name for people.
    pub display: Label,
    /// The rights.
    pub grants: Document,
    /// Whether these are those of an administrator of everything.
    pub is_admin: bool,
    /// The hash of the password, if there is to be one.
    pub password: Option<StoredSecret>,
}

/// What is to become different about a user; `None` leaves something as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserChange {
    /// The name for people.
    pub display: Option<Label>,
    /// The rights, and whether these are those of an administrator of everything.
    pub grants: Option<(Document, bool)>,
    /// Whether the user can't do anything. It also ends all sessions.
    pub disabled: Option<bool>,
}

/// What came of a change of a user.
#[derive(Debug, Clone, PartialEq)]
pub enum UserChanged {
    /// It is stored.
    Stored(User),
    /// The user was removed.
    Removed,
    /// Nothing: someone else has changed the user since.
    Overtaken,
    /// Nothing: there is no such user.
    NoUser,
    /// Nothing: no one would be left who may do everything.
    LastAdmin,
}

/// What came of adding a user.
#[derive(Debug, Clone, PartialEq)]
pub enum UserAdded {
    /// The user is there.
    Added(User),
    /// Nothing: another user has the name.
    NameTaken,
    /// Nothing: there are as many users as there may be.
    TooMany,
    /// Nothing: the token for the first user isn't valid.
    NoToken,
    /// Nothing: there is a first user already.
    NotFirst,
}

/// What signing in compares with.
#[derive(Debug, Clone, PartialEq)]
pub struct SignIn {
    /// The user, who may be disabled.
    pub user: User,
    /// The hash of the password.
    pub password: Option<StoredSecret>,
    /// The secret of the codes, if signing in needs one.
    pub totp: Option<StoredSecret>,
}

/// The columns of [`User::from_row`].
macro_rules! user_columns {
    () => {
        "user_account.id AS user_id, user_account.name AS user_name, display, user_account.grants AS user_grants, \
         is_admin, user_account.created AS user_created, disabled, last_login, generation, \
         (SELECT COUNT(*) FROM user_password WHERE user_password.user_id = user_account.id) AS passwords, \
         (SELECT COUNT(*) FROM user_totp WHERE user_totp.user_id = user_account.id \
         AND secret IS NOT NULL) AS totps"
    };
}
pub(crate) use user_columns;

impl User {
    /// Whether the user may do everything, and can.
    fn is_able_admin(&self) -> bool {
        self.is_admin && self.disabled.is_none()
    }

    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.name("user_id")?,
            name: row.name("user_name")?,
            display: row.string("display")?.into(),
            grants: row.json("user_grants")?,
            is_admin: row.integer("is_admin")? != 0,
            created: row.time("user_created")?,
            disabled: row.optional_time("disabled")?,
            last_login: row.optional_time("last_login")?,
            generation: Generation(row.integer("generation")?),
            has_password: row.integer("passwords")? > 0,
            has_totp: row.integer("totps")? > 0,
        })
    }
}

const ALL: &str = concat!("SELECT ", user_columns!(), " FROM user_account ORDER BY name LIMIT $1");
const BY_ID: &str = concat!("SELECT ", user_columns!(), " FROM user_account WHERE id = $1");
const BY_NAME: &str = concat!("SELECT ", user_columns!(), " FROM user_account WHERE name = $1");
const BY_IDENTITY: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM user_identity JOIN user_account ON user_account.id = user_identity.user_id \
     WHERE issuer = $1 AND subject = $2"
);
const SIGN_IN: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", (SELECT hash FROM user_password WHERE user_password.user_id = user_account.id) AS password_hash, \
     (SELECT secret FROM user_totp WHERE user_totp.user_id = user_account.id) AS totp_secret \
     FROM user_account WHERE name = $1"
);

/// What a user leaves behind, all of which goes with the user.
const BELONGINGS: [&str; 10] = [
    "DELETE FROM user_identity WHERE user_id = $1",
    "DELETE FROM user_password WHERE user_id = $1",
    "DELETE FROM user_totp WHERE user_id = $1",
    "DELETE FROM recovery_code WHERE user_id = $1",
    "DELETE FROM session WHERE user_id = $1",
    "DELETE FROM known_device WHERE user_id = $1",
    "DELETE FROM api_token WHERE user_id = $1",
    "DELETE FROM preference WHERE user_id = $1",
    "DELETE FROM read_event WHERE user_id = $1",
    "DELETE FROM read_up_to WHERE user_id = $1",
];

impl Store {
    /// Adds a user.
    pub async fn add_user(&self, now: UtcTime, new: &NewUser, note: &AuditNote) -> Result<UserAdded> {
        let mut tx = self.begin("adding a user").await?;
        tx.take_turns(CHANGING).await?;
        if count(&mut tx).await? >= USERS_MAX {
            return Ok(UserAdded::TooMany);
        }
        match insert(&mut tx, now, new).await? {
            Some(user) => {
                tx.audit(note);
                tx.commit().await?;
                Ok(UserAdded::Added(user))
            }
            None => Ok(UserAdded::NameTaken),
        }
    }

    /// Makes a token valid with which the first user can be added until `expires`; false, and none is, if there are users.
    pub async fn store_setup_token(&self, now: UtcTime, hash: &TokenHash, expires: UtcTime) -> Result<bool> {
        let mut tx = self.begin("storing the token for the first user").await?;
        tx.take_turns(CHANGING).await?;
        if count(&mut tx).await? > 0 {
            return Ok(false);
        }
        tx.execute("DELETE FROM setup_token WHERE expires < $1", values![now]).await?;
        let sql = "INSERT INTO setup_token (hash, created, expires) VALUES ($1, $2, $3)";
        tx.execute(sql, values![hash.as_str(), now, expires]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Adds the first user with a token for that. Of several that try at once, one does it; the token is used up, and so
    /// are all others.
    pub async fn set_up(
        &self,
        now: UtcTime,
        token: &TokenHash,
        new: &NewUser,
        note: &AuditNote,
    ) -> Result<UserAdded> {
        let mut tx = self.begin("adding the first user").await?;
        tx.take_turns(CHANGING).await?;
        if count(&mut tx).await? > 0 {
            return Ok(UserAdded::NotFirst);
        }
        let sql = "SELECT hash FROM setup_token WHERE hash = $1 AND expires > $2";
        if tx.row(sql, values![token.as_str(), now]).await?.is_none() {
            return Ok(UserAdded::NoToken);
        }
        tx.execute("DELETE FROM setup_token", Vec::new()).await?;
        let Some(user) = insert(&mut tx, now, new).await? else { return Ok(UserAdded::NameTaken) };
        tx.audit(note);
        tx.commit().await?;
        Ok(UserAdded::Added(user))
    }

    /// Changes a user who still is as `seen`; `None` changes the user whatever others did meanwhile.
    pub async fn change_user(
        &self,
        now: UtcTime,
        id: &UserId,
        seen: Option<Generation>,
        change: &UserChange,
        note: &AuditNote,
    ) -> Result<UserChanged> {
        let mut tx = self.begin("changing a user").await?;
        tx.take_turns(CHANGING).await?;
        let mut user = match found(&mut tx, id, seen).await? {
            Ok(user) => user,
            Err(why) => return Ok(why),
        };
        let was_able = user.is_able_admin();
        if let Some(display) = &change.display {
            user.display = display.clone();
        }
        if let Some((grants, is_admin)) = &change.grants {
            (user.grants, user.is_admin) = (grants.clone(), *is_admin);
        }
        match change.disabled {
            Some(true) => user.disabled = user.disabled.or(Some(now)),
            Some(false) => user.disabled = None,
            None => {}
        }
        if was_able && !user.is_able_admin() && !other_admin(&mut tx, id).await? {
            return Ok(UserChanged::LastAdmin);
        }
        user.generation = Generation(tx.unused_number().await?);
        let sql = "UPDATE user_account SET display = $2, grants = $3, is_admin = $4, disabled = $5, generation = $6 \
                   WHERE id = $1";
        let row = values![
            id.as_str(),
            user.display.as_str(),
            user.grants.to_string(),
            i64::from(user.is_admin),
            user.disabled,
            user.generation.0
        ];
        tx.execute(sql, row).await?;
        if user.disabled.is_some() {
            tx.execute("DELETE FROM session WHERE user_id = $1", values![id.as_str()]).await?;
            tx.execute("DELETE FROM known_device WHERE user_id = $1", values![id.as_str()]).await?;
        }
        tx.audit(note);
        tx.wake();
        tx.commit().await?;
        Ok(UserChanged::Stored(user))
    }

    /// Removes a user with sessions, tokens and everything else; requests for approval and the audit keep the name.
    pub async fn remove_user(
        &self,
        id: &UserId,
        seen: Option<Generation>,
        note: &AuditNote,
    ) -> Result<UserChanged> {
        let mut tx = self.begin("removing a user").await?;
        tx.take_turns(CHANGING).await?;
        let user = match found(&mut tx, id, seen).await? {
            Ok(user) => user,
            Err(why) => return Ok(why),
        };
        if user.is_able_admin() && !other_admin(&mut tx, id).await? {
            return Ok(UserChanged::LastAdmin);
        }
        for sql in BELONGINGS {
            tx.execute(sql, values![id.as_str()]).await?;
        }
        tx.execute("DELETE FROM user_account WHERE id = $1", values![id.as_str()]).await?;
        tx.audit(note);
        tx.wake();
        tx.commit().await?;
        Ok(UserChanged::Removed)
    }

    /// Gives a user another password, or none, and ends the user's sessions but for `keep`. False if there is no such
    /// user.
    pub async fn set_password(
        &self,
        now: UtcTime,
        id: &UserId,
        password: Option<&StoredSecret>,
        keep: Option<&TokenHash>,
        note: &AuditNote,
    ) -> Result<bool> {
        let mut tx = self.begin("changing a password").await?;
        tx.take_turns(CHANGING).await?;
        if found(&mut tx, id, None).await?.is_err() {
            return Ok(false);
        }
        tx.execute("DELETE FROM user_password WHERE user_id = $1", values![id.as_str()]).await?;
        if let Some(password) = password {
            store_password(&mut tx, now, id, password).await?;
        }
        let sql = "DELETE FROM session WHERE user_id = $1 AND hash <> $2";
        tx.execute(sql, values![id.as_str(), keep.map_or("", TokenHash::as_str)]).await?;
        tx.execute("DELETE FROM known_device WHERE user_id = $1", values![id.as_str()]).await?;
        tx.audit(note);
        tx.wake();
        tx.commit().await?;
        Ok(true)
    }

    /// Replaces the hash of a password by another one of the same password, made at a higher cost. Nothing happens if it
    /// isn't the hash any more.
    pub async fn replace_password_hash(
        &self,
        id: &UserId,
        from: &StoredSecret,
        to: &StoredSecret,
    ) -> Result<()> {
        let mut tx = self.begin("storing a password's hash").await?;
        let sql = "UPDATE user_password SET hash = $3 WHERE user_id = $1 AND hash = $2";
        tx.execute(sql, values![id.as_str(), from.reveal(), to.reveal()]).await?;
        tx.commit().await
    }

    /// All users, in the order of their names.
    pub async fn users(&self) -> Result<Vec<User>> {
        let limit = i64::try_from(USERS_MAX).unwrap_or(i64::MAX);
        let rows = self.db.rows("listing the users", ALL, values![limit]).await?;
        rows.iter().map(User::from_row).collect()
    }

    /// Whether there is a user.
    pub async fn has_users(&self) -> Result<bool> {
        let sql = "SELECT id FROM user_account LIMIT 1";
        Ok(self.db.row("looking for users", sql, Vec::new()).await?.is_some())
    }

    /// A user.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>> {
        let row = self.db.row("reading a user", BY_ID, values![id.as_str()]).await?;
        row.as_ref().map(User::from_row).transpose()
    }

    /// The user with this name.
    pub async fn user_named(&self, name: &UserName) -> Result<Option<User>> {
        let row = self.db.row("reading a user", BY_NAME, values![name.as_str()]).await?;
        row.as_ref().map(User::from_row).transpose()
    }

    /// What signing in with a name compares with.
    pub async fn sign_in(&self, name: &UserName) -> Result<Option<SignIn>> {
        let row = self.db.row("reading what a login needs", SIGN_IN, values![name.as_str()]).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SignIn {
            user: User::from_row(&row)?,
            password: row.optional_string("password_hash")?.map(StoredSecret::from),
            totp: row.optional_string("totp_secret")?.map(StoredSecret::from),
        }))
    }

    /// The user whom an issuer of OpenID Connect calls `subject`.
    pub async fn user_of_identity(&self, issuer: &str, subject: &str) -> Result<Option<User>> {
        let row = self.db.row("reading a user", BY_IDENTITY, values![issuer, subject]).await?;
        row.as_ref().map(User::from_row).transpose()
    }

    /// An issuer of OpenID Connect calls this user `subject`; false if it calls another one so.
    pub async fn store_identity(
        &self,
        user: &UserId,
        issuer: &str,
        subject: &str,
        note: &AuditNote,
    ) -> Result<bool> {
        let mut tx = self.begin("storing who a user is elsewhere").await?;
        let sql = "INSERT INTO user_identity (issuer, subject, user_id) VALUES ($1, $2, $3) \
                   ON CONFLICT (issuer, subject) DO NOTHING";
        if tx.execute(sql, values![issuer, subject, user.as_str()]).await? == 0 {
            return Ok(false);
        }
        tx.audit(note);
        tx.commit().await?;
        Ok(true)
    }
}

async fn count(tx: &mut Tx) -> Result<u64> {
    let row = tx.row("SELECT COUNT(*) AS users FROM user_account", Vec::new()).await?;
    row.map_or(Ok(0), |row| row.count("users"))
}

async fn insert(tx: &mut Tx, now: UtcTime, new: &NewUser) -> Result<Option<User>> {
    let generation = tx.unused_number().await?;
    let sql = "INSERT INTO user_account (id, name, display, grants, is_admin, created, generation) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING";
    let row = values![
        new.id.as_str(),
        new.name.as_str(),
        new.display.as_str(),
        new.grants.to_string(),
        i64::from(new.is_admin),
        now,
        generation
    ];
    if tx.execute(sql, row).await? == 0 {
        return Ok(None);
    }
    if let Some(password) = &new.password {
        store_password(tx, now, &new.id, password).await?;
    }
    let row = tx.row(BY_ID, values![new.id.as_str()]).await?;
    let row = row.ok_or_else(|| StoreError::stored("user_account", "a user was not stored"))?;
    User::from_row(&row).map(Some)
}

async fn store_password(tx: &mut Tx, now: UtcTime, id: &UserId, password: &StoredSecret) -> Result<()> {
    let sql = "INSERT INTO user_password (user_id, hash, changed) VALUES ($1, $2, $3)";
    tx.execute(sql, values![id.as_str(), password.reveal(), now]).await?;
    Ok(())
}

/// The user, if there is one who still is as `seen`.
async fn found(
    tx: &mut Tx,
    id: &UserId,
    seen: Option<Generation>,
) -> Result<std::result::Result<User, UserChanged>> {
    let Some(row) = tx.row(BY_ID, values![id.as_str()]).await? else { return Ok(Err(UserChanged::NoUser)) };
    let user = User::from_row(&row)?;
    Ok(if seen.is_none_or(|seen| seen == user.generation) { Ok(user) } else { Err(UserChanged::Overtaken) })
}

/// Whether anyone but this user may do everything.
async fn other_admin(tx: &mut Tx, but: &UserId) -> Result<bool> {
    let sql = "SELECT id FROM user_account WHERE is_admin = 1 AND disabled IS NULL AND id <> $1 LIMIT 1";
    Ok(tx.row(sql, values![but.as_str()]).await?.is_some())
}
