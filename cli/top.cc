// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle top: a live view of the fleet. Without a terminal it writes one screen after the other.
#include <memory>
#include <string>
#include <utility>

#include "cli/ask_fleet.h"
#include "cli/fleet_summary.h"
#include "cli/session.h"
#include "cli/terminal.h"
#include "cli/top_view.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

constexpr absl::Duration kScreenInterval = absl::Seconds(1);
// Today's joules are fetched less often, because they change slowly.
constexpr absl::Duration kTodayInterval = absl::Seconds(30);

struct TopFlags {
  bool once = false;
};

TopOrder Next(TopOrder order) {
  switch (order) {
    case TopOrder::kName:
      return TopOrder::kPower;
    case TopOrder::kPower:
      return TopOrder::kCharge;
    case TopOrder::kCharge:
      break;
  }
  return TopOrder::kName;
}

// Waits until the next screen is due. False: the user quits, or the output is closed.
bool Wait(Session& session, absl::Duration interval, TopState* state) {
  const Environment& environment = session.environment();
  if (!environment.out->good()) {
    return false;
  }
  if (!environment.read_key) {
    environment.sleep(interval);
    return !environment.interrupt->raised();
  }
  const std::string key = environment.read_key(interval);
  if (key == "q" || key == "Q" || key == "\x1b") {
    return false;
  }
  if (key == " ") {
    state->paused = !state->paused;
  } else if (key == "s") {
    state->order = Next(state->order);
  }
  return !environment.interrupt->raised();
}

absl::StatusOr<ExitCode> ShowTop(Session& session, const TopFlags& flags) {
  const std::unique_ptr<TerminalKeys> keys =
      session.environment().read_key && !flags.once ? std::make_unique<TerminalKeys>() : nullptr;
  LiveScreen screen(*session.environment().out, session.style());
  TopState state;
  FleetAnswers answers;
  absl::Time asked_at;
  Monotonic today_asked_at;
  bool asked = false;
  do {
    if (!state.paused || !asked) {
      absl::StatusOr<FleetAnswers> fresh = AskFleet(session);
      if (absl::IsCancelled(fresh.status())) {
        return ExitCode::kOk;  // Ctrl-C quits like q
      }
      WATTLE_RETURN_IF_ERROR(fresh.status());
      fresh->today = std::move(answers.today);
      answers = *std::move(fresh);
      asked_at = session.Now();
      const Monotonic now = session.environment().clock->Boottime();
      if (!asked || now - today_asked_at >= kTodayInterval) {
        AskToday(session, answers);
        today_asked_at = now;
      }
      asked = true;
    }
    screen.Show(
        RenderTop(answers, SummarizeFleet(answers, asked_at), state, asked_at, session.style()));
  } while (!flags.once && Wait(session, kScreenInterval, &state));
  return ExitCode::kOk;
}

}  // namespace

void AddTopCommand(CLI::App* app, CommandSlot* slot) {
  CLI::App* leaf = AddLeaf(app, "top",
                           "Show the fleet live: watts, charge, progress of each attempt, the "
                           "queue. Keys: q quit, space pause, s sort.",
                           "  wattle top\n"
                           "  wattle top --once\n");
  const auto flags = std::make_shared<TopFlags>();
  leaf->add_flag("--once", flags->once, "Show one screen and end");
  slot->Bind(leaf, [flags](Session& session) -> absl::StatusOr<ExitCode> {
    if (session.json()) {
      return absl::InvalidArgumentError(
          "-o json: wattle top is a screen; use wattle -o json status, devices --watch or events");
    }
    return ShowTop(session, *flags);
  });
}

}  // namespace wattle::cli
