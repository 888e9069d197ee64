// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/counter_program.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "coordinator/prompts/prompt_counter.h"
#include "wattle/v1/prompt_count.pb.h"
#include "worker/child/frames/frames.h"

namespace wattle::prompts {
namespace {

bool WriteAll(int output, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = write(output, bytes.data(), bytes.size());
    if (size < 0 && errno != EINTR) {
      return false;
    }
    bytes.remove_prefix(size < 0 ? 0 : static_cast<size_t>(size));
  }
  return true;
}

// False: the frame is none of ours, or nobody reads the answer.
bool Handle(std::string frame, std::optional<PromptCounter>& counter, int output) {
  if (!counter.has_value()) {
    v1::PromptCountModel model;
    if (!model.ParseFromString(frame)) {
      return false;
    }
    counter.emplace(std::move(model));
    return true;
  }
  v1::PromptCountQuestion question;
  if (!question.ParseFromString(frame)) {
    return false;
  }
  frame = std::string();  // Up to 64 MiB, that the count may want.
  const Monotonic end = Clock::Real().Boottime() + absl::Seconds(question.seconds_max());
  const v1::PromptCountAnswer answer =
      counter->Answer(question, [end] { return Clock::Real().Boottime() < end; });
  return WriteAll(output, child::EncodeFrame(answer.SerializeAsString()));
}

}  // namespace

int RunCounter(int input, int output) {
  std::set_new_handler([] { _exit(kCounterOutOfMemory); });
  child::FrameReader frames;
  std::optional<PromptCounter> counter;
  std::array<char, 1 << 16> buffer = {};
  while (true) {
    const ssize_t size = read(input, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size <= 0) {
      return size < 0 ? 1 : 0;
    }
    frames.Append(absl::string_view(buffer.data(), static_cast<size_t>(size)));
    while (true) {
      absl::StatusOr<std::optional<std::string>> frame = frames.Next();
      if (!frame.ok()) {
        return 1;
      }
      if (!frame->has_value()) {
        break;
      }
      if (!Handle(**std::move(frame), counter, output)) {
        return 1;
      }
    }
  }
}

}  // namespace wattle::prompts
