// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle events and wattle audit: the events of the fleet, one on each line.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/json_output.h"
#include "cli/labels.h"
#include "cli/session.h"
#include "cli/since.h"
#include "cli/table.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "proto/audited_events.h"

namespace wattle::cli {
namespace {

constexpr int32_t kEventsMax = 1000;

struct EventsFlags {
  bool follow = false;
  int32_t limit = 50;
  std::string since;
  bool audited_alone = false;
};

// "2026-11-20 08:41:07 UTC  j12: queued".
std::string RenderEvent(const v1::FleetEvent& event, const EventsFlags& flags) {
  return absl::StrCat(FormatInstant(event.at_unix_seconds()), "  ",
                      Printable(flags.audited_alone ? AuditText(event) : event.text()), "\n");
}

absl::StatusOr<ExitCode> ShowEvents(Session& session, const EventsFlags& flags) {
  v1::WatchEventsRequest request;
  request.set_follow(flags.follow);
  request.set_limit(flags.limit);
  request.set_audited_alone(flags.audited_alone);
  if (!flags.since.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const absl::Time since, ParseSince(flags.since, session.Now()));
    request.set_since_unix_seconds(UnixSeconds(since));
  }
  const absl::Status status = session.client().WatchEvents(
      request,
      [&](const v1::FleetEvent& event) {
        if (flags.audited_alone && !IsAudited(event.kind())) {
          return;
        }
        session.PrintText(session.json() ? ToJsonLine(event) : RenderEvent(event, flags));
      },
      [&](const absl::Status& why) {
        session.PrintRemark(absl::StrCat("wattle: ", why.message(), "; trying again"));
      });
  // Ctrl-C is the normal end of --follow.
  return absl::IsCancelled(status) && flags.follow ? ExitCode::kOk
         : status.ok()                             ? absl::StatusOr<ExitCode>(ExitCode::kOk)
                                                   : status;
}

// The flags that both commands have. limit: number of past events.
std::shared_ptr<EventsFlags> AddFlags(CLI::App* leaf) {
  const auto flags = std::make_shared<EventsFlags>();
  leaf->add_flag("-f,--follow", flags->follow, "Go on with new events until Ctrl-C");
  leaf->add_option("--since", flags->since,
                   "Only events since then: 30m, 24h, 7d, today, 2026-11-20")
      ->type_name("WHEN");
  return flags;
}

void AddAuditCommand(CLI::App* app, CommandSlot* slot) {
  CLI::App* leaf = AddLeaf(
      app, "audit",
      "Show who was let in, shut out or refused, and what people changed, by whom and from which "
      "address: the latest 1000 such events of the journal. The coordinator's log has the same "
      "lines.",
      "  wattle audit --since 24h\n"
      "  wattle -o json audit --follow | jq -r 'select(.kind == \"call_refused\")'\n");
  const auto flags = AddFlags(leaf);
  flags->limit = kEventsMax;
  flags->audited_alone = true;
  slot->Bind(leaf, [flags](Session& session) { return ShowEvents(session, *flags); });
}

}  // namespace

void AddEventsCommand(CLI::App* app, CommandSlot* slot) {
  AddAuditCommand(app, slot);
  CLI::App* leaf = AddLeaf(
      app, "events",
      "Show what happened in the fleet, one event a line; with -o json one object a line.",
      "  wattle events\n"
      "  wattle events --follow\n"
      "  wattle -o json events --follow | jq -r 'select(.kind == \"device_registered\")'\n");
  const auto flags = AddFlags(leaf);
  leaf->add_option("--limit", flags->limit, "Past events at most; default 50")
      ->check(CLI::Range(1, kEventsMax));
  slot->Bind(leaf, [flags](Session& session) { return ShowEvents(session, *flags); });
}

}  // namespace wattle::cli
