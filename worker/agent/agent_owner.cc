// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Answers the person at the board.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "worker/agent/agent.h"
#include "worker/agent/commands.h"

namespace wattle::agent {
namespace {

// A worker that does not take an event within this time hangs.
constexpr absl::Duration kCoreAnswers = absl::Seconds(20);
// Only the worker's user and group may hold the board.
constexpr mode_t kOwnerAndGroup = 0660;

LineAnswer AnswerOf(const absl::Status& status, std::string text) {
  if (status.ok()) {
    return {.exit_code = 0, .text = std::move(text)};
  }
  return {.exit_code = absl::IsInvalidArgument(status) ? 2 : 1,
          .text = std::string(status.message())};
}

// "hold SECONDS", "release" or "status".
LineAnswer AnswerFromCore(const std::string& request, AgentCore& core, const Instant& now) {
  const std::vector<std::string> words = absl::StrSplit(request, ' ');
  double seconds = 0;
  if (words[0] == "hold" && words.size() == 2 && absl::SimpleAtod(words[1], &seconds)) {
    const absl::Status held = core.Hold(absl::Seconds(seconds), now);
    return AnswerOf(held, core.OwnerStatus(now));
  }
  if (request == "release") {
    const absl::Status released = core.EndHold(now);
    return AnswerOf(released, core.OwnerStatus(now));
  }
  if (request == "status") {
    return {.exit_code = 0, .text = core.OwnerStatus(now)};
  }
  return {.exit_code = 2,
          .text = absl::StrCat("\"", request,
                               "\": this worker knows hold, release and status; is "
                               "it of another version?")};
}

}  // namespace

void Agent::OpenOwnerSocket() {
  auto socket =
      LineSocket::Listen(disk_->PathOf(kOwnerSocket), {.mode = kOwnerAndGroup},
                         [this](const std::string& request) { return AnswerOwner(request); });
  if (socket.ok()) {
    owner_socket_ = *std::move(socket);
  } else {
    AddFinding(absl::StrCat("wattle-worker hold, release and status do not work: ",
                            std::string(socket.status().message())));
  }
}

LineAnswer Agent::AnswerOwner(const std::string& request) {
  struct Pending {
    LineAnswer answer{.exit_code = 1, .text = "the worker ends; ask the next one"};
    absl::Notification over;
  };
  const auto pending = std::make_shared<Pending>();
  // Notifies when the event is gone: after it ran, or when the worker drops its events at its end.
  std::shared_ptr<void> event(nullptr, [pending](void*) { pending->over.Notify(); });
  Post([this, request, pending, event](const Instant& now) {
    pending->answer = AnswerFromCore(request, *core_, now);
  });
  event.reset();
  if (!pending->over.WaitForNotificationWithTimeout(kCoreAnswers)) {
    return {.exit_code = 1, .text = "the worker is busy for longer than 20 s; its log may say why"};
  }
  return pending->answer;
}

}  // namespace wattle::agent
