//! What a plan's retention will decide, and what other rules would.

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::snapshot::{KeptQuery, KeptSnapshot, RetentionQuery};
use keepfast_config::decode::{FromText, Located};
use keepfast_config::model::retention::Retention;
use keepfast_config::source::Origin;
use keepfast_config::values::amount::{Count, Share, ShareOrNumber};
use keepfast_operations::reports::VerdictDocument;
use keepfast_server::cleanup::PlanKeeping;
use keepfast_server::definitions::ThisMachine;
use keepfast_server::{cleanup, definitions};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert::entries::instant;
use crate::guard::Caller;
use crate::looking::look;
use crate::request::Query;
use crate::state::Shared;

/// The brake of a plan that says nothing about it.
const BRAKE: ShareOrNumber = ShareOrNumber::Share(Share { thousandths: 500 });

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(retention_preview)).routes(routes!(kept_snapshots))
}

/// What a plan's retention will do at its next runs, as `keepfast cleanup --dry-run --json` prints it.
///
/// If any rule is named, these rules are tried in place of the plan's. Nothing is changed.
#[utoipa::path(get, path = "/retention/preview", tag = "snapshots", params(RetentionQuery),
    responses((status = 200, body = Value)))]
async fn retention_preview(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<RetentionQuery>,
) -> Result<Document<Value>> {
    caller.must(Right::See, &api.plan(&wanted.plan))?;
    let (config, now) = (api.config(), api.now());
    let definition = definitions::plan(&config, &wanted.plan)?;
    let repository = definition.value.repository.name.clone();
    let others = rules(&wanted, definition.value.retention.as_ref().map(|own| &own.value))?;
    let (host, plan) = (api.inside.around.host.clone(), wanted.plan);
    let forecast = look(&api, &repository, move |browser| {
        let mut definition = definitions::plan(browser.config, &plan)?.clone();
        if let Some(value) = others {
            definition.value.retention = Some(Located { value, origin: Origin::DEFAULT });
        }
        let run = browser.warm.run(browser.cancel.clone());
        browser.warm.with(browser.config, browser.repository, |shared| {
            cleanup::forecast(browser.config, &definition, &host, shared, now, &run)
        })
    });
    let document = serde_json::to_value(forecast.await?).map_err(|error| Failure::internal(&error))?;
    Ok(Document::new(document))
}

/// What a plan's retention keeps each of its snapshots for, and when each will go, the newest first.
///
/// It doesn't say what that frees, so it comes sooner than the preview. If the plan has no retention, everything stays and
/// the list is empty.
#[utoipa::path(get, path = "/retention/snapshots", tag = "snapshots", params(KeptQuery, PageQuery),
    responses((status = 200, body = List<KeptSnapshot>)))]
async fn kept_snapshots(
    State(api): State<Shared>,
    caller: Caller,
    Query(KeptQuery { plan, snapshot }): Query<KeptQuery>,
    pages: Pages,
) -> Result<Listed> {
    caller.must(Right::See, &api.plan(&plan))?;
    let (config, now) = (api.config(), api.now());
    let repository = definitions::plan(&config, &plan)?.value.repository.name.clone();
    let host = api.inside.around.host.clone();
    let keeping = look(&api, &repository, move |browser| {
        let definition = definitions::plan(browser.config, &plan)?;
        let run = browser.warm.run(browser.cancel.clone());
        browser.warm.with(browser.config, browser.repository, |shared| {
            cleanup::keeping(browser.config, definition, &host, shared, now, &run)
        })
    });
    let mut rows = keeping.await?.map(kept).unwrap_or_default();
    rows.retain(|row| snapshot.as_ref().is_none_or(|wanted| row.snapshot == *wanted));
    pages.of_all("retention", rows).await
}

fn kept(PlanKeeping { next_run, report }: PlanKeeping) -> Vec<KeptSnapshot> {
    // A run that no one has planned is imagined, and has no instant.
    let until = report.until.filter(|_| next_run.is_some()).map(instant);
    let mut rows: Vec<KeptSnapshot> = report
        .snapshots
        .into_iter()
        .map(|one| {
            let reasons = one.decision.reasons.into_iter().map(|reason| reason.text);
            KeptSnapshot {
                snapshot: one.decision.id,
                time: instant(one.decision.time),
                protected: one.decision.protected,
                kept_by: match one.decision.verdict {
                    VerdictDocument::Keep => reasons.collect(),
                    VerdictDocument::Forget => Vec::new(),
                },
                goes_after_runs: one.goes.map(|goes| u64::try_from(goes.run).unwrap_or(u64::MAX)),
                goes: one.goes.filter(|_| next_run.is_some()).map(|goes| instant(goes.at)),
                foreseen_until: until,
            }
        })
        .collect();
    rows.sort_by(|one, other| other.time.cmp(&one.time).then_with(|| one.snapshot.cmp(&other.snapshot)));
    rows
}

/// The rules that are asked for instead of the plan's own; nothing if none are named.
fn rules(wanted: &RetentionQuery, own: Option<&Retention>) -> Result<Option<Retention>> {
    let rules = Retention {
        last: count("last", wanted.last.as_deref())?,
        hourly: count("hourly", wanted.hourly.as_deref())?,
        daily: count("daily", wanted.daily.as_deref())?,
        weekly: count("weekly", wanted.weekly.as_deref())?,
        monthly: count("monthly", wanted.monthly.as_deref())?,
        yearly: count("yearly", wanted.yearly.as_deref())?,
        within: read("within", wanted.within.as_deref())?,
        within_hourly: read("within_hourly", wanted.within_hourly.as_deref())?,
        within_daily: read("within_daily", wanted.within_daily.as_deref())?,
        within_weekly: read("within_weekly", wanted.within_weekly.as_deref())?,
        within_monthly: read("within_monthly", wanted.within_monthly.as_deref())?,
        within_yearly: read("within_yearly", wanted.within_yearly.as_deref())?,
        tags: Vec::new(),
        max_size: read("max_size", wanted.max_size.as_deref())?,
        at_least: wanted.at_least,
        max_removed: own.map_or(BRAKE, |own| own.max_removed),
    };
    if !rules.removes() {
        return Ok(None);
    }
    Ok(Some(Retention { tags: own.map(|own| own.tags.clone()).unwrap_or_default(), ..rules }))
}

fn count(rule: &str, text: Option<&str>) -> Result<Option<Count>> {
    let Some(text) = text else { return Ok(None) };
    if text == "all" {
        return Ok(Some(Count::All));
    }
    let is_number = text.bytes().all(|letter| letter.is_ascii_digit());
    let number = text.parse::<u32>().ok().filter(|_| is_number);
    let wrong = || Failure::unprocessable(&format!("`{rule}` is a number up to {}, or `all`", u32::MAX));
    Ok(Some(Count::Number(number.ok_or_else(wrong)?)))
}

/// A value in the words of the configuration.
fn read<T: FromText>(rule: &str, text: Option<&str>) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    T::read(text, &ThisMachine).map(Some).map_err(|_| {
        let example = T::TEXT.examples.first().copied().unwrap_or_default();
        Failure::unprocessable(&format!("`{rule}` is not {}, such as `{example}`", T::TEXT.what))
    })
}

#[cfg(test)]
mod tests {
    use keepfast_api::snapshot::RetentionQuery;
    use keepfast_config::values::amount::{Count, ShareOrNumber};

    use super::{BRAKE, rules};

    fn asked(change: impl FnOnce(&mut RetentionQuery)) -> RetentionQuery {
        let mut wanted = RetentionQuery { plan: "www".to_owned(), ..RetentionQuery::default() };
        change(&mut wanted);
        wanted
    }

    #[test]
    fn rules_that_are_named_stand_in_place_of_all_of_the_plans() {
        let none = rules(&asked(|wanted| wanted.at_least = Some(3)), None).expect("a floor");
        assert_eq!(none, None, "a floor by itself names no rules");
        let wanted = asked(|wanted| {
            wanted.daily = Some("7".to_owned());
            wanted.yearly = Some("all".to_owned());
            wanted.within = Some("1y6mo".to_owned());
            wanted.max_size = Some("2GiB".to_owned());
        });
        let own = rules(&wanted, None).expect("rules").expect("they are named");
        assert_eq!((own.daily, own.yearly), (Some(Count::Number(7)), Some(Count::All)));
        let within = own.within.expect("it is named");
        assert_eq!((within.years, within.months), (1, 6));
        assert_eq!((own.max_size.map(|size| size.bytes), own.max_removed), (Some(2 << 30), BRAKE));
        let mut plan = own;
        plan.max_removed = ShareOrNumber::Number(4);
        let other = asked(|wanted| wanted.last = Some("2".to_owned()));
        let other = rules(&other, Some(&plan)).expect("rules").expect("they are named");
        assert_eq!((other.last, other.daily), (Some(Count::Number(2)), None));
        assert_eq!(other.max_removed, ShareOrNumber::Number(4), "the plan's brake holds");
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_name() {
        for (name, change) in [
            ("`daily`", (|wanted| wanted.daily = Some("-1".to_owned())) as fn(&mut RetentionQuery)),
            ("`within`", |wanted| wanted.within = Some("1 fortnight".to_owned())),
            ("`max_size`", |wanted| wanted.max_size = Some("large".to_owned())),
        ] {
            let refused = rules(&asked(change), None).expect_err("it makes no sense");
            assert!(format!("{refused:?}").contains(name), "{refused:?}");
        }
    }
}
