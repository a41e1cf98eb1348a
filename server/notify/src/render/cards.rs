//! Cards: Slack, Discord and Teams. Text of others stands where these take plain text, or is escaped.

use serde_json::{Value, json};

use crate::message::Tone;
use crate::text::{clip, clip_end};

use super::{ItemView, View, colour};

const SLACK_BLOCKS_MAX: usize = 45;
const SLACK_TEXT_CHARS_MAX: usize = 2_900;
const SLACK_FIELD_CHARS_MAX: usize = 1_900;
const SLACK_FIELDS_MAX: usize = 10;

/// The body of a request to an incoming webhook of Slack.
#[must_use]
pub fn slack(view: &View) -> Value {
    let view = view.clone().fitted(|view| slack_blocks(view).len() <= SLACK_BLOCKS_MAX);
    json!({
        "text": format!("*{}* {}", view.tone.word(), slack_escape(&view.title)),
        "unfurl_links": false,
        "unfurl_media": false,
        "attachments": [{ "color": format!("#{:06x}", colour(view.tone)), "blocks": slack_blocks(&view) }],
    })
}

fn slack_blocks(view: &View) -> Vec<Value> {
    let plain = |text: &str, chars_max| json!({ "type": "plain_text", "text": clip(text, chars_max), "emoji": false });
    let section = |text: &str| json!({ "type": "section", "text": plain(text, SLACK_TEXT_CHARS_MAX) });
    let mut blocks = Vec::new();
    let many = view.items.len() > 1;
    for item in &view.items {
        let title = if many { format!("{}: {}\n", item.tone.word(), item.title) } else { String::new() };
        blocks.push(section(&or_dash(&format!("{title}{}", item.summary))));
        for facts in item.facts.chunks(SLACK_FIELDS_MAX) {
            let fields =
                facts.iter().map(|(name, value)| plain(&format!("{name}\n{value}"), SLACK_FIELD_CHARS_MAX));
            blocks.push(json!({ "type": "section", "fields": fields.collect::<Vec<_>>() }));
        }
        blocks.extend(item.advice.as_ref().map(|advice| section(&format!("What to do: {advice}"))));
        if let Some(log) = item.log.as_ref().filter(|log| !log.is_empty()) {
            blocks.push(section(&clip_end(log, SLACK_TEXT_CHARS_MAX)));
        }
        if let Some(link) = &item.link {
            let text = format!("<{}|Open>", slack_escape(link));
            blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
        }
    }
    let notes = view.notes().into_iter().chain([format!("{}, {}", view.server, view.when)]);
    let notes = notes.collect::<Vec<_>>().join("\n");
    blocks.push(json!({ "type": "context", "elements": [plain(&notes, SLACK_TEXT_CHARS_MAX)] }));
    blocks
}

/// Text that is empty is refused.
fn or_dash(text: &str) -> String {
    if text.trim().is_empty() { "–".to_owned() } else { text.to_owned() }
}

/// Mentions and links of Slack are in angle brackets; other signs change how a word looks, and no more.
fn slack_escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // A name in stars or underscores would be set in another type.
    text.replace('*', "∗").replace('_', "_\u{2060}").replace('`', "ˋ").replace('~', "∼")
}

const DISCORD_EMBEDS_MAX: usize = 10;
const DISCORD_CHARS_MAX: usize = 5_500;
const DISCORD_TITLE_CHARS_MAX: usize = 250;
const DISCORD_TEXT_CHARS_MAX: usize = 4_000;
const DISCORD_VALUE_CHARS_MAX: usize = 1_000;
const DISCORD_FIELDS_MAX: usize = 25;

/// The body of a request to a webhook of Discord.
#[must_use]
pub fn discord(view: &View) -> Value {
    let view = view.clone().fitted(|view| {
        let embeds = discord_embeds(view);
        embeds.len() <= DISCORD_EMBEDS_MAX && embeds.iter().map(chars_in).sum::<usize>() <= DISCORD_CHARS_MAX
    });
    json!({
        "content": if view.items.len() > 1 { discord_escape(&view.title, DISCORD_TITLE_CHARS_MAX) } else { String::new() },
        "embeds": discord_embeds(&view),
        // No name in a message calls anyone.
        "allowed_mentions": { "parse": [] },
    })
}

fn discord_embeds(view: &View) -> Vec<Value> {
    let last = view.items.len().saturating_sub(1);
    let embeds = view.items.iter().enumerate().map(|(at, item)| {
        let mut description = vec![discord_escape(&item.summary, 2_000)];
        description.extend(
            item.advice.as_ref().map(|advice| format!("**What to do:** {}", discord_escape(advice, 900))),
        );
        if let Some(log) = item.log.as_ref().filter(|log| !log.is_empty()) {
            description.push(format!("```\n{}\n```", clip_end(&log.replace('`', "ˋ"), 1_500)));
        }
        if at == last {
            description.extend(view.notes().iter().map(|note| discord_escape(note, 300)));
        }
        let field = |(name, value): &(String, String)| {
            json!({
                "name": or_dash(&discord_escape(name, DISCORD_TITLE_CHARS_MAX)),
                "value": or_dash(&discord_escape(value, DISCORD_VALUE_CHARS_MAX)),
                "inline": value.chars().count() < 30,
            })
        };
        let title = format!("{}: {}", item.tone.word(), item.title);
        let mut embed = json!({
            "title": discord_escape(&title, DISCORD_TITLE_CHARS_MAX),
            "description": clip(&description.join("\n\n"), DISCORD_TEXT_CHARS_MAX),
            "color": colour(item.tone),
            "fields": item.facts.iter().take(DISCORD_FIELDS_MAX).map(field).collect::<Vec<_>>(),
            "footer": { "text": view.server },
            "timestamp": view.at,
        });
        if let Some(link) = &item.link {
            embed["url"] = link.as_str().into();
        }
        embed
    });
    embeds.collect()
}

/// What counts towards the limit of all embeds together.
fn chars_in(embed: &Value) -> usize {
    let chars = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let fields = embed["fields"].as_array().into_iter().flatten();
    let fields: usize = fields.map(|field| chars(&field["name"]) + chars(&field["value"])).sum();
    chars(&embed["title"]) + chars(&embed["description"]) + chars(&embed["footer"]["text"]) + fields
}

/// Before each sign that could mean something stands a stroke, which isn't shown.
fn discord_escape(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    for sign in text.chars() {
        let plain = !sign.is_ascii_punctuation()
            || matches!(sign, ',' | '\'' | '"' | '%' | '?' | ';' | '=' | '&' | '/');
        count += if plain { 1 } else { 2 };
        if count >= chars_max {
            out.push('…');
            break;
        }
        if !plain {
            out.push('\\');
        }
        out.push(sign);
    }
    out
}

/// Teams takes 28 KB.
const TEAMS_BYTES_MAX: usize = 24_000;

/// The body of a request to a workflow of Teams: a message with an adaptive card.
#[must_use]
pub fn teams(view: &View) -> Value {
    let view = view.clone().fitted(|view| teams_card(view).to_string().len() <= TEAMS_BYTES_MAX);
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": teams_card(&view),
        }],
    })
}

fn teams_card(view: &View) -> Value {
    // Runs of text know no markup, as blocks of text do.
    let run = |text: &str| json!({ "type": "TextRun", "text": text });
    let rich = |runs: Vec<Value>| json!({ "type": "RichTextBlock", "inlines": runs });
    let many = view.items.len() > 1;
    let mut body = Vec::new();
    if many {
        let mut title = run(&view.title);
        (title["weight"], title["size"]) = ("Bolder".into(), "Large".into());
        body.push(rich(vec![title]));
    }
    for item in &view.items {
        body.extend(teams_item(item, many, &run, &rich));
    }
    for note in view.notes().iter().chain([&format!("{}, {}", view.server, view.when)]) {
        let mut note = run(note);
        note["isSubtle"] = true.into();
        body.push(rich(vec![note]));
    }
    let mut card = json!({
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
    });
    if let Some(page) = view.page() {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open", "url": page }]);
    }
    card
}

fn teams_item(
    item: &ItemView,
    many: bool,
    run: &dyn Fn(&str) -> Value,
    rich: &dyn Fn(Vec<Value>) -> Value,
) -> Vec<Value> {
    let mut title = run(&format!("{}: {}", item.tone.word(), item.title));
    title["weight"] = "Bolder".into();
    title["size"] = if many { "Default" } else { "Large" }.into();
    title["color"] = match item.tone {
        Tone::Info => "Default",
        Tone::Resolved => "Good",
        Tone::Warning => "Warning",
        Tone::Error | Tone::Critical => "Attention",
    }
    .into();
    if many && let Some(link) = &item.link {
        title["selectAction"] = json!({ "type": "Action.OpenUrl", "url": link });
    }
    let mut parts = vec![rich(vec![title]), rich(vec![run(&or_dash(&item.summary))])];
    for (name, value) in &item.facts {
        let mut name = run(&format!("{name}: "));
        name["isSubtle"] = true.into();
        parts.push(rich(vec![name, run(&or_dash(value))]));
    }
    if let Some(advice) = &item.advice {
        let mut begin = run("What to do: ");
        begin["weight"] = "Bolder".into();
        parts.push(rich(vec![begin, run(advice)]));
    }
    if let Some(log) = item.log.as_ref().filter(|log| !log.is_empty()) {
        let mut log = run(log);
        log["fontType"] = "Monospace".into();
        parts.push(rich(vec![log]));
    }
    if many {
        for part in parts.iter_mut().skip(1) {
            part["spacing"] = "Small".into();
        }
        parts[0]["separator"] = true.into();
    }
    parts
}
