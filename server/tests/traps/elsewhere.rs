//! The traps whose tests are in other places. Those of the dashboard, of agents and of drills come with them.

use std::fs;
use std::path::Path;

/// A trap, and the tests that keep it shut: a file below the root of the sources, and a function in it.
const TRAPS: &[(&str, &[(&str, &str)])] = &[
    (
        "silence",
        &[
            ("server/schedule/tests/traps.rs", "silence_is_recorded_and_breaks_the_promise"),
            ("server/config/tests/suite/traps.rs", "silence"),
        ],
    ),
    (
        "zombie run",
        &[
            ("server/schedule/tests/traps.rs", "a_zombie_run_does_not_block_its_schedule_for_ever"),
            ("server/store/tests/suite/runs.rs", "a_lost_run_never_blocks_its_plan"),
            (
                "cli/tests/suite/two_servers.rs",
                "a_killed_server_and_a_paused_one_lose_runs_and_no_slot_runs_twice",
            ),
        ],
    ),
    (
        "start-up sweep",
        &[("server/store/tests/suite/runs.rs", "only_the_lease_decides_whether_a_run_is_lost")],
    ),
    (
        "crash loop",
        &[("server/store/tests/suite/runs.rs", "a_slot_that_was_lost_three_times_is_in_quarantine")],
    ),
    (
        "two runs after a wake or a reload",
        &[
            (
                "server/schedule/tests/traps.rs",
                "after_a_wake_the_newest_slot_runs_once_and_older_ones_are_missed",
            ),
            ("server/schedule/tests/traps.rs", "a_reload_makes_no_slot_and_loses_none"),
        ],
    ),
    (
        "overlap, storm, piled-up queue",
        &[
            ("server/schedule/tests/traps.rs", "overlapping_runs_are_skipped"),
            ("server/schedule/tests/traps.rs", "of_overlapping_runs_the_newest_waits"),
            ("server/schedule/tests/traps.rs", "runs_that_catch_up_are_spread"),
            ("server/config/tests/suite/traps.rs", "overlap_and_catch_up_storm"),
        ],
    ),
    (
        "unpause fires at once",
        &[
            ("server/schedule/tests/traps.rs", "enabling_and_unpausing_never_fire_at_once"),
            ("cli/tests/suite/serve.rs", "a_paused_plan_skips_its_slots_and_says_so"),
        ],
    ),
    (
        "sleep, clock set back or forward",
        &[
            ("server/schedule/tests/traps.rs", "a_clock_set_back_runs_nothing_again"),
            ("server/schedule/tests/traps.rs", "a_clock_a_year_ahead_stops_nothing"),
            ("server/store/tests/suite/runs.rs", "a_clock_that_jumps_a_year_loses_no_run"),
            (
                "server/notify/tests/suite/decisions.rs",
                "a_clock_that_jumps_by_a_year_neither_silences_nor_repeats",
            ),
            (
                "cli/tests/suite/two_servers.rs",
                "clocks_that_jump_a_year_ahead_and_back_run_no_slot_twice_and_stop_no_plan",
            ),
        ],
    ),
    (
        "changes of the clock",
        &[
            ("server/schedule/tests/dst.rs", "paris_in_the_gap"),
            ("server/schedule/tests/dst.rs", "paris_in_the_fold"),
            ("server/schedule/tests/dst.rs", "notes_say_what_happens"),
            ("cli/tests/suite/plans.rs", "the_next_runs_are_listed_with_what_the_clock_does_to_them"),
        ],
    ),
    (
        "zone of the container, the browser, the host",
        &[
            ("server/config/tests/suite/traps.rs", "zone_of_the_machine"),
            ("server/schedule/tests/traps.rs", "the_zone_is_the_plans_own"),
        ],
    ),
    (
        "retention in another zone",
        &[("server/config/tests/suite/traps.rs", "retention_in_another_zone_than_the_schedule")],
    ),
    (
        "a policy wipes the rest",
        &[
            ("server/config/tests/suite/traps.rs", "a_policy_that_wipes_the_rest"),
            ("cli/tests/suite/plans.rs", "the_brake_of_retention_is_a_finding"),
        ],
    ),
    (
        "retention silently does nothing",
        &[("cli/tests/suite/plans.rs", "retention_leaves_what_other_commands_have_made")],
    ),
    (
        "stale locks",
        &[
            ("server/store/tests/suite/open.rs", "one_process_is_the_server_of_a_sqlite_database"),
            ("cli/tests/suite/serve.rs", "one_process_is_the_server_and_runs_by_hand_go_on_beside_it"),
        ],
    ),
    (
        "a hook fails and the backup runs anyway, or what it stopped stays stopped",
        &[
            ("server/config/tests/suite/traps.rs", "hook_fails_and_the_backup_runs_anyway"),
            ("cli/tests/suite/plans.rs", "a_hook_that_fails_before_keeps_the_backup_from_beginning"),
            ("cli/tests/suite/plans.rs", "a_killed_run_is_lost_and_what_it_stopped_is_started_by_the_next"),
            (
                "cli/tests/suite/serve.rs",
                "what_a_killed_server_left_is_undone_and_named_when_it_starts_again",
            ),
        ],
    ),
    (
        "a notification is lost",
        &[
            ("server/tests/notices/sending.rs", "a_sender_that_dies_loses_nothing"),
            ("server/tests/notices/sending.rs", "a_dead_target_is_tried_again_and_the_others_are_served"),
            ("server/store/tests/suite/deliveries.rs", "a_delivery_whose_sender_died_is_sent_again"),
        ],
    ),
    (
        "a storm of notifications",
        &[
            (
                "server/notify/tests/suite/decisions.rs",
                "a_repository_that_is_down_is_one_message_and_not_forty",
            ),
            (
                "server/notify/tests/suite/decisions.rs",
                "a_plan_that_flaps_makes_few_messages_and_each_change_is_counted",
            ),
            ("server/config/tests/suite/traps.rs", "notification_storm"),
        ],
    ),
    (
        "a warning that is an error",
        &[
            (
                "server/notify/tests/suite/decisions.rs",
                "with_findings_is_a_verdict_of_its_own_and_never_becomes_ok",
            ),
            ("server/config/tests/suite/traps.rs", "warning_or_error"),
        ],
    ),
    (
        "credentials in the configuration, secrets in logs",
        &[
            ("server/config/tests/suite/traps.rs", "credentials_in_the_configuration"),
            ("server/config/tests/suite/cases.rs", "no_secret_is_ever_shown"),
            ("server/store/tests/suite/open.rs", "a_password_is_never_shown"),
            ("server/notify/tests/suite/webhooks.rs", "no_error_shows_an_address_or_a_token"),
            ("cli/tests/suite/plans.rs", "hooks_inherit_no_secret_and_learn_of_the_snapshot"),
        ],
    ),
    ("substitution in raw text", &[("server/config/tests/suite/traps.rs", "substitution_in_raw_text")]),
    ("two truths", &[("server/config/tests/suite/traps.rs", "two_truths")]),
    (
        "history grows",
        &[
            ("server/store/tests/suite/history.rs", "removed_history_makes_the_database_smaller"),
            ("server/store/tests/suite/logs.rs", "old_logs_go_with_their_files"),
        ],
    ),
    (
        "listings freeze",
        &[
            ("server/store/tests/suite/size.rs", "listings_on_sqlite_take_less_than_a_tenth_of_a_second"),
            ("server/store/tests/suite/size.rs", "listings_on_postgres_take_less_than_a_tenth_of_a_second"),
        ],
    ),
    (
        "a drill restores over what is live",
        &[("server/config/tests/suite/traps.rs", "drill_into_the_live_database")],
    ),
    (
        "default password, open port",
        &[("server/config/tests/suite/traps.rs", "default_password_and_open_port")],
    ),
    (
        "servers with different definitions",
        &[
            (
                "server/store/tests/suite/followed.rs",
                "a_server_that_only_starts_again_brings_no_definitions_back",
            ),
            ("server/config/tests/suite/traps.rs", "servers_with_definitions_that_differ"),
        ],
    ),
];

#[test]
fn each_trap_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (trap, tests) in TRAPS {
        for (file, test) in *tests {
            let text = fs::read_to_string(root.join(file)).unwrap();
            assert!(text.contains(&format!("fn {test}(")), "{trap}: {file} has no test {test}");
        }
    }
}
