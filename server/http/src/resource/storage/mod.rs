//! Storage: what repositories take, when they are full, what that costs, and what can be done about it.

mod advice;
mod cost;
mod levels;

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::{Timestamp, ToSpan};
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::storage::{
    DiskSpace, GrowthWindow, LimitKind, NoForecast, PlanGrowth, RepositoryStorage, StorageDay,
    StorageForecast, StorageLimit, UsedStorage,
};
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::repository::Repository as Defined;
use keepfast_config::values::address::Place;
use keepfast_observe::growth::{Growth, Level, amount_after, time_until};
use keepfast_server::connect;
use keepfast_server::state::{instant, stored};
use keepfast_server::work::upkeep::quota;
use keepfast_store::{PageSize, RepositoryId, Run, RunFilter, RunKind, StoredSum, UtcTime, VerdictKind};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::advice::{Known, advice};
use self::cost::cost;
use self::levels::{Found, levels};
use super::overview::zone_of;
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::guard::Caller;
use crate::request::Name;
use crate::state::{Api, Shared};

/// Days that are looked at, today among them.
const DAYS: i64 = 90;
/// The newest days by which the list says how fast a repository grows.
const DAYS_OF_LIST: u32 = 30;
const WINDOWS: [u32; 2] = [DAYS_OF_LIST, 90];
/// How far ahead costs are said.
const COST_AHEAD_DAYS: u32 = 90;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(storage)).routes(routes!(repository_forecast))
}

/// What all repositories take, when they are full, and what they cost; in the order of their names.
#[utoipa::path(get, path = "/storage", tag = "storage", params(PageQuery),
    responses((status = 200, body = List<RepositoryStorage>)))]
async fn storage(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    let config = api.config();
    let seen = config.repositories.values().filter(|found| caller.sees(&api.repository(&found.name)));
    let seen: Vec<_> = seen.collect();
    let gathered = Gathered::read(&api).await?;
    let mut rows = Vec::with_capacity(seen.len());
    for definition in seen {
        rows.push(gathered.forecast(&api, &caller, definition).await?.storage);
    }
    pages.of_all("storage", rows).await
}

/// When a repository is full, and from what that follows.
#[utoipa::path(get, path = "/repositories/{repository}/forecast", tag = "storage",
    params(("repository" = String, Path)), responses((status = 200, body = StorageForecast)))]
async fn repository_forecast(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<Document<StorageForecast>> {
    caller.must(Right::See, &api.repository(&name))?;
    let config = api.config();
    let definition = connect::definition(&config, &name)?;
    let gathered = Gathered::read(&api).await?;
    Ok(Document::new(gathered.forecast(&api, &caller, definition).await?))
}

/// What is read once for all repositories.
struct Gathered {
    now: Timestamp,
    /// The beginnings of days, and now.
    bounds: Vec<Timestamp>,
    sums: Vec<StoredSum>,
    /// The newest check and prune of each repository.
    upkeep: Vec<Run>,
}

impl Gathered {
    async fn read(api: &Api) -> Result<Self> {
        let now = api.now();
        let (zone, _) = zone_of(api, None)?;
        let beyond = |_| Failure::new(ErrorCode::Unavailable, "The server's clock is beyond the calendar.");
        let today = zone.to_datetime(now).date();
        let first = today.checked_sub((DAYS - 1).days()).map_err(beyond)?;
        let mut bounds = Vec::new();
        for day in first.series(1.day()).take_while(|day| *day <= today) {
            bounds.push(day.to_zoned(zone.clone()).map_err(beyond)?.timestamp());
        }
        bounds.push(now);
        let stored_bounds: Vec<UtcTime> = bounds.iter().map(|bound| stored(*bound)).collect();
        let sums = api.store().stored_sums(&stored_bounds).await?;
        Ok(Self { now, bounds, sums, upkeep: api.store().last_upkeep().await? })
    }

    async fn forecast(
        &self,
        api: &Api,
        caller: &Caller,
        definition: &Definition<Defined>,
    ) -> Result<StorageForecast> {
        let (name, defined) = (&definition.name, &definition.value);
        let (config, now) = (api.config(), self.now);
        let id = RepositoryId::new(&**name)?;
        let (used, days) = self.days(api, &id).await?;
        let quota = defined.quota.as_ref().map(|of| quota::judge(name, of, 0));
        let disk = match &defined.url.value {
            Place::Directory(folder) => api.disks.space(folder).await,
            Place::S3 { .. } => None,
        };
        let quota_bytes = quota.as_ref().map(|quota| quota.size_bytes);
        let limit = limit(used.as_ref(), quota_bytes, disk);
        let growth: Vec<GrowthWindow> =
            WINDOWS.iter().filter_map(|window| of_window(&days, *window, limit, now)).collect();
        let of_list = growth.iter().find(|window| window.days == DAYS_OF_LIST);
        let per_day = of_list.map(|window| window.bytes_per_day);
        let full_on = of_list.and_then(|window| window.full_on);
        let no_forecast = match (of_list, limit) {
            _ if full_on.is_some() => None,
            (_, None) if quota.is_some() && used.is_none() => Some(NoForecast::NotMeasured),
            (_, None) => Some(NoForecast::NoLimit),
            (None, _) => Some(NoForecast::TooLittleHistory),
            (Some(window), _) if window.bytes_per_day <= 0 => Some(NoForecast::DoesNotGrow),
            _ => Some(NoForecast::BeyondTenYears),
        };
        let plans = self.plans(name, &|plan| caller.sees(&api.plan(plan)));
        let used_bytes = used.map(|used| used.bytes);
        let later = used_bytes.zip(per_day);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let later = later.map(|(used, per_day)| amount_after(used, per_day as f64, COST_AHEAD_DAYS));
        let known = Known {
            now,
            checked: self.good(api, &id, RunKind::Check).await?,
            has_prune: defined.prune.is_some(),
            pruned: self.good(api, &id, RunKind::Prune).await?,
            forgets: forgets(&config, name),
            has_data: used_bytes.is_some_and(|bytes| bytes > 0) || !days.is_empty(),
            used: used_bytes,
            unused: self.unused(api, name).await?,
            quota: quota.as_ref().map(|quota| (quota.size_bytes, quota.warn_bytes)),
            disk,
            full_on,
            plans: &plans,
        };
        let advice = advice(&known);
        let warns = |of: &keepfast_config::model::project::Quota| f64::from(of.warn.thousandths) / 1000.0;
        Ok(StorageForecast {
            storage: RepositoryStorage {
                repository: name.clone(),
                project: defined.project.as_ref().map(|project| project.name.clone()),
                url: defined.url.value.to_string(),
                used,
                growth_bytes_per_day: per_day,
                quota_bytes,
                quota_warns: defined.quota.as_ref().map(warns),
                disk,
                full_on,
                no_forecast,
                cost: defined.price.as_ref().map(|price| cost(price, used_bytes, later)),
                advice,
            },
            growth,
            limit,
            days,
            plans,
        })
    }

    /// What is stored now, and how much it was at the end of each day.
    async fn days(&self, api: &Api, id: &RepositoryId) -> Result<(Option<UsedStorage>, Vec<StorageDay>)> {
        let begin = stored(self.bounds[0]);
        let found = api.store().found_bytes(id, begin).await?;
        let newest = found.last().copied();
        let mut found: Vec<Found> =
            found.into_iter().map(|found| Found { at: instant(found.at), bytes: found.bytes }).collect();
        if let Some(older) = found.first_mut().filter(|found| found.at < self.bounds[0]) {
            // What was stored between that and the first day.
            let since = api.store().stored_since(id, stored(older.at)).await?;
            let later = api.store().stored_since(id, begin).await?;
            older.bytes = older.bytes.saturating_add(since.saturating_sub(later));
        }
        let mut added = vec![0_u64; self.bounds.len() - 1];
        for sum in self.sums.iter().filter(|sum| sum.repository == *id) {
            if let Some(day) = added.get_mut(sum.part) {
                *day = day.saturating_add(sum.stored_bytes);
            }
        }
        let mut days = levels(&self.bounds, &added, &found);
        let Some(newest) = newest else { return Ok((None, days)) };
        let since = api.store().stored_since(id, newest.at).await?;
        let bytes = newest.bytes.saturating_add(since);
        if let Some(today) = days.last_mut() {
            today.bytes = bytes;
        }
        Ok((Some(UsedStorage { bytes, measured_bytes: newest.bytes, measured: instant(newest.at) }), days))
    }

    /// What plans have added, the most first. Those that the caller may not see are left out, and their bytes count.
    fn plans(&self, repository: &str, is_seen: &dyn Fn(&str) -> bool) -> Vec<PlanGrowth> {
        let days = self.bounds.len() - 1;
        let month = days.saturating_sub(usize::try_from(DAYS_OF_LIST).unwrap_or(usize::MAX));
        let mut plans: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let mut all = 0_u64;
        for sum in self.sums.iter().filter(|sum| sum.repository.as_str() == repository) {
            let of_plan = plans.entry(sum.plan.as_str()).or_default();
            of_plan.0 = of_plan.0.saturating_add(sum.stored_bytes);
            if sum.part >= month {
                of_plan.1 = of_plan.1.saturating_add(sum.stored_bytes);
            }
            all = all.saturating_add(sum.stored_bytes);
        }
        let seen = plans.into_iter().filter(|(plan, _)| is_seen(plan));
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        let mut rows: Vec<PlanGrowth> = seen
            .map(|(plan, (in_all, in_month))| PlanGrowth {
                plan: plan.to_owned(),
                stored_bytes_30_days: in_month,
                stored_bytes_90_days: in_all,
                share: in_all as f64 / all.max(1) as f64,
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.stored_bytes_90_days));
        rows
    }

    /// What no snapshot needs, as a preview of a prune or the newest prune itself has found it.
    async fn unused(&self, api: &Api, repository: &str) -> Result<Option<u64>> {
        let pruned = self.newest(repository, RunKind::Prune);
        let ended = pruned.and_then(|run| run.ended).map(instant);
        let previewed =
            api.previews.known(repository).found.filter(|(at, _)| ended.is_none_or(|end| end < *at));
        if let Some((_, plan)) = previewed {
            let freed = plan.bytes.saturating_sub(plan.bytes_after);
            return Ok(Some(freed.saturating_add(plan.waste_bytes)));
        }
        let Some(run) = pruned else { return Ok(None) };
        let report = api.store().run_report(&run.id).await?;
        Ok(report.and_then(|report| report.pointer("/prune/plan/waste_bytes")?.as_u64()))
    }

    fn newest(&self, repository: &str, kind: RunKind) -> Option<&Run> {
        let is_of = |run: &&Run| run.subject.repository.as_ref().is_some_and(|of| of.as_str() == repository);
        self.upkeep.iter().filter(is_of).find(|run| run.kind == kind)
    }

    /// When upkeep last ended well.
    async fn good(&self, api: &Api, repository: &RepositoryId, kind: RunKind) -> Result<Option<Timestamp>> {
        let Some(newest) = self.newest(repository.as_str(), kind) else { return Ok(None) };
        let is_good = |kind: VerdictKind| matches!(kind, VerdictKind::Ok | VerdictKind::Findings);
        if newest.verdict.as_ref().is_some_and(|verdict| is_good(verdict.kind())) {
            return Ok(newest.ended.map(instant));
        }
        let filter = RunFilter {
            repository: Some(repository.clone()),
            kind: Some(kind),
            verdict: Some(VerdictKind::Ok),
            ..RunFilter::default()
        };
        let found = api.store().runs(&filter, None, PageSize::at_most(1)).await?.rows.pop();
        Ok(found.and_then(|run| run.ended).map(instant))
    }
}

/// How many bytes can be stored before a limit is reached: the nearest one.
fn limit(used: Option<&UsedStorage>, quota: Option<u64>, disk: Option<DiskSpace>) -> Option<StorageLimit> {
    let quota = quota.zip(used).map(|(quota, used)| StorageLimit {
        kind: LimitKind::Quota,
        left_bytes: quota.saturating_sub(used.bytes),
    });
    let disk = disk.map(|disk| StorageLimit { kind: LimitKind::Disk, left_bytes: disk.free_bytes });
    quota.into_iter().chain(disk).min_by_key(|limit| limit.left_bytes)
}

/// How fast it grew in the newest days; nothing if too few of them are known.
fn of_window(
    days: &[StorageDay],
    window: u32,
    limit: Option<StorageLimit>,
    now: Timestamp,
) -> Option<GrowthWindow> {
    let length = usize::try_from(window).unwrap_or(usize::MAX);
    let days = &days[days.len().saturating_sub(length)..];
    let levels: Vec<Level> = (0..).zip(days).map(|(day, level)| Level { day, amount: level.bytes }).collect();
    let growth = Growth::of(&levels)?;
    let full_on = |per_day: f64| {
        let time = time_until(limit?.left_bytes, per_day)?;
        now.checked_add(jiff::SignedDuration::try_from(time).ok()?).ok()
    };
    #[allow(clippy::cast_possible_truncation, reason = "an estimate")]
    let whole = |per_day: f64| per_day.round() as i64;
    Some(GrowthWindow {
        days: window,
        days_known: u32::try_from(days.len()).unwrap_or(u32::MAX),
        bytes_per_day: whole(growth.usual),
        bytes_per_day_low: whole(growth.low),
        bytes_per_day_high: whole(growth.high),
        full_on: full_on(growth.usual),
        full_on_earliest: full_on(growth.high),
        full_on_latest: full_on(growth.low),
    })
}

/// Whether a plan forgets snapshots of a repository.
fn forgets(config: &Config, repository: &str) -> bool {
    let mut plans = config.plans.values();
    plans.any(|plan| plan.value.repository.name == repository && plan.value.retention.is_some())
}
