// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One child process that reads the tokenizer and the chat template of one model, in a box
// (worker/box/box.h): no files, no network, bounded memory, bounded time. What becomes of it is an
// answer, never a fault of the coordinator. Owned by one thread, which must live as long as the
// child and block SIGPIPE: a child may leave while it is written to.
#ifndef WATTLE_COORDINATOR_PROMPTS_COUNTER_CHILD_H_
#define WATTLE_COORDINATOR_PROMPTS_COUNTER_CHILD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "wattle/v1/prompt_count.pb.h"
#include "worker/box/boxed_program.h"
#include "worker/box/level.h"
#include "worker/child/frames/frames.h"

namespace wattle::prompts {

struct CounterOptions {
  std::string program;                 // path
  std::vector<std::string> arguments;  // after its name
  box::Level level = box::Level::kFull;
  int64_t memory_bytes = 0;  // that the child may write; 0: no limit
};

class CounterChild {
 public:
  // Starts the child; the first question sends the model's files. Errors: those of the box, of a
  // missing program and of a machine without a process or a pipe: faults of this machine.
  static absl::StatusOr<std::unique_ptr<CounterChild>> Start(const CounterOptions& options,
                                                             const v1::PromptCountModel& model);
  ~CounterChild();  // ends the child
  CounterChild(const CounterChild&) = delete;
  CounterChild& operator=(const CounterChild&) = delete;

  // stop: a descriptor that becomes readable when nobody wants the answer any more. Errors, each
  // with what the child did, after which this object is of no more use: kDeadlineExceeded (it
  // hangs), kResourceExhausted (it wanted more memory), kAborted (it was ended or ended itself),
  // kPermissionDenied (a call that its box refuses), kDataLoss (no answer of ours), kCancelled.
  absl::StatusOr<v1::PromptCountAnswer> Ask(const v1::PromptCountQuestion& question,
                                            absl::Duration patience, int stop);

 private:
  CounterChild(box::BoxedProgram process, int64_t memory_bytes, std::string model)
      : process_(std::move(process)), memory_bytes_(memory_bytes), outgoing_(std::move(model)) {}
  // False: the child reads no more, and its end follows.
  bool Write();
  // Nothing while there is more to come.
  absl::StatusOr<std::optional<v1::PromptCountAnswer>> Read();
  absl::Status End();

  box::BoxedProgram process_;
  const int64_t memory_bytes_;
  std::string outgoing_;  // not yet taken by the child
  size_t written_ = 0;    // of outgoing_
  child::FrameReader frames_;
  bool reaped_ = false;
};

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_COUNTER_CHILD_H_
