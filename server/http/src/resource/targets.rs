//! Where notifications are sent, who hears of what, and what came of each message.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::notification::{Delivery, DeliveryQuery, DeliveryState, Route, Target};
use keepfast_server::notices::log::DeliveryDocument;
use keepfast_server::notices::trial::Trial;
use keepfast_server::notices::{Courier, Notifier, Sender};
use keepfast_store::{DeliveryKey, DeliveryState as StoredState, TargetId};
use serde_json::Value;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::config::setting;
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::guard::Caller;
use crate::guard::about::About;
use crate::request::{Name, Query};
use crate::state::{Api, Shared};

/// How long a test waits for what comes of it. After that, the list of messages tells.
const TEST_WITHIN: Duration = Duration::from_secs(25);

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(targets))
        .routes(routes!(test_target))
        .routes(routes!(notification_routes))
        .routes(routes!(deliveries))
        .routes(routes!(retry_delivery))
}

/// Where notifications are sent.
#[utoipa::path(get, path = "/targets", tag = "notifications", params(PageQuery),
    responses((status = 200, body = List<Target>)))]
async fn targets(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    caller.must(Right::SeeConfig, &About::server())?;
    let followed = api.followed();
    let mut found = Vec::new();
    for definition in followed.config.targets.values() {
        let count = api.store().delivery_count(&TargetId::new(&*definition.name)?).await?;
        let kind = match &definition.value.webhook {
            Some(webhook) => webhook.preset.word(),
            None => "smtp",
        };
        found.push(Target {
            target: definition.name.clone(),
            description: definition.value.description.clone(),
            kind: kind.to_owned(),
            origin: followed.report.sources().short(definition.origin),
            waiting: count.waiting,
            undeliverable: count.undeliverable,
        });
    }
    pages.of_all("targets", found).await
}

/// Send a test to a target, by the way of all messages, and tell what came of the first attempt.
#[utoipa::path(post, path = "/targets/{target}/test", tag = "notifications", params(("target" = String, Path)),
    responses((status = 200, body = Delivery)))]
async fn test_target(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<Document<Delivery>> {
    caller.must(Right::ManageServer, &About::server())?;
    let config = api.config();
    let mut trial = trial(&api, &config);
    let tested = timeout(TEST_WITHIN, trial.test(&name)).await;
    let late =
        || Failure::new(ErrorCode::TimedOut, "Nothing has come of it yet: the list of messages will tell.");
    let tested = tested.map_err(|_| late())??;
    caller.record(api.store(), "target.test", &format!("target:{name}"), Value::Null).await?;
    tested.map(|delivery| Document::new(wire(delivery))).ok_or_else(late)
}

/// Who hears of what, in the order of the files.
#[utoipa::path(get, path = "/routes", tag = "notifications", params(PageQuery),
    responses((status = 200, body = List<Route>)))]
async fn notification_routes(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    caller.must(Right::SeeConfig, &About::server())?;
    let followed = api.followed();
    let sources = followed.report.sources();
    let routes = followed.config.routes.iter().zip(1..).map(|(definition, route)| Route {
        route,
        targets: definition.value.to.0.iter().map(|target| target.name.clone()).collect(),
        origin: sources.short(definition.origin),
        settings: followed
            .config
            .effective
            .lines(&format!("route.{}", definition.name))
            .into_iter()
            .map(|line| setting(line, sources))
            .collect(),
    });
    pages.of_all("routes", routes.collect()).await
}

/// Messages to targets, the newest first.
#[utoipa::path(get, path = "/deliveries", tag = "notifications", params(DeliveryQuery, PageQuery),
    responses((status = 200, body = List<Delivery>)))]
async fn deliveries(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<DeliveryQuery>,
    pages: Pages,
) -> Result<Listed> {
    caller.must(Right::See, &About::server())?;
    let target = wanted.target.map(TargetId::new).transpose()?;
    let state = wanted.state.map(stored_state);
    pages
        .of("deliveries", move |before: Option<DeliveryKey>, size| {
            let (api, target) = (api.clone(), target.clone());
            async move {
                let page = api.store().deliveries(target.as_ref(), state, before, size).await?;
                Ok(page.map(|delivery| wire(DeliveryDocument::from(&delivery))))
            }
        })
        .await
}

/// Try a message again that was given up.
#[utoipa::path(post, path = "/deliveries/{delivery}/retry", tag = "notifications", params(("delivery" = i64, Path)),
    responses((status = 202, body = Delivery)))]
async fn retry_delivery(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<Document<Delivery>> {
    caller.must(Right::Run, &About::server())?;
    let missing = || Failure::not_found("delivery", &name);
    let number = name.parse().map_err(|_| missing())?;
    let key = keepfast_server::notices::log::send_again(api.store(), number).await?;
    caller.record(api.store(), "delivery.retry", &format!("delivery:{number}"), Value::Null).await?;
    let delivery = api.store().delivery(key).await?.ok_or_else(missing)?;
    Ok(Document::accepted(wire(DeliveryDocument::from(&delivery))))
}

fn trial<'t>(api: &'t Api, config: &'t keepfast_config::config::Config) -> Trial<'t> {
    let (store, around) = (api.store(), &api.inside.around);
    let sender = Sender::new(
        store.clone(),
        api.inside.executor.clone(),
        Arc::new(Courier::new()),
        around.children_of(config),
        Default::default(),
        &around.host,
    );
    Trial { store, config, notifier: Notifier::new(store.clone(), &around.host), sender }
}

fn stored_state(state: DeliveryState) -> StoredState {
    match state {
        DeliveryState::Waiting => StoredState::Waiting,
        DeliveryState::Sending => StoredState::Sending,
        DeliveryState::Delivered => StoredState::Delivered,
        DeliveryState::Undeliverable => StoredState::Undeliverable,
    }
}

fn wire(delivery: DeliveryDocument) -> Delivery {
    Delivery {
        delivery: delivery.id,
        target: delivery.target,
        state: match StoredState::parse(delivery.state) {
            Some(StoredState::Sending) => DeliveryState::Sending,
            Some(StoredState::Delivered) => DeliveryState::Delivered,
            Some(StoredState::Undeliverable) => DeliveryState::Undeliverable,
            Some(StoredState::Waiting) | None => DeliveryState::Waiting,
        },
        title: delivery.title,
        created: delivery.created,
        attempts: delivery.attempts,
        next_attempt: delivery.next_attempt,
        ended: delivery.ended,
        error: delivery.error,
        advice: delivery.advice,
        answer: delivery.answer,
    }
}
