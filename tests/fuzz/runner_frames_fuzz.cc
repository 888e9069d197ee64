// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "base/status_macros.h"
#include "tests/fuzz/fuzz_target.h"
#include "wattle/v1/runner.pb.h"
#include "worker/child/frames/frames.h"

// The frames that an agent reads from its runner, and a runner from its agent.
WATTLE_FUZZ_TARGET(runner_frames, bytes) {
  constexpr size_t kPieceBytes = 7;
  child::FrameReader reader;
  while (!bytes.empty()) {
    reader.Append(bytes.substr(0, kPieceBytes));
    bytes.remove_prefix(std::min(bytes.size(), kPieceBytes));
    WATTLE_ASSIGN_OR_RETURN(auto message, reader.Next());
    while (message.has_value()) {
      child::FrameReader again;
      again.Append(child::EncodeFrame(*message));
      const auto same = again.Next();
      WATTLE_CHECK(same.ok() && *same == message, "a message comes back");
      (void)v1::RunnerFrame().ParseFromString(*message);  // any answer except a crash is right
      (void)v1::RunnerTask().ParseFromString(*message);
      (void)v1::RunnerCommand().ParseFromString(*message);
      WATTLE_ASSIGN_OR_RETURN(message, reader.Next());
    }
  }
  return absl::OkStatus();
}
