// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells before a generate job is accepted that one of its prompts fills the model's context, before
// a job on conversations that the model's chat template cannot write them, and before a job on a
// text that the text is one token: every device would refuse them. Short prompts need no tokenizer
// and are answered at once. The others are counted by a boxed child process for each model
// (counter_child.h), and a thread of this class waits for it, so that neither the thread of the
// state nor a thread of gRPC does. The work on one question is bounded; what lies beyond the bound
// is found by the device alone. A model whose files hang the child, take its memory or end it is
// refused. Thread-safe.
#ifndef WATTLE_COORDINATOR_PROMPTS_PROMPT_CHECK_H_
#define WATTLE_COORDINATOR_PROMPTS_PROMPT_CHECK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "artifacts/blob_store.h"
#include "base/clock.h"
#include "base/unique_descriptor.h"
#include "coordinator/core/certain_failure.h"
#include "coordinator/prompts/counter_child.h"
#include "coordinator/runtime/bounded_queue.h"
#include "units/id.h"
#include "wattle/v1/prompt_count.pb.h"
#include "worker/box/level.h"

namespace wattle::prompts {

struct PromptCheckLimits {
  int64_t file_bytes = int64_t{32} << 20;  // Read of a file of prompts.
  int64_t text_bytes = int64_t{4} << 20;   // Encoded for one question.
  size_t questions = 64;                   // That wait; more are answered with "".
  // A question that waited longer is answered with "", and counting ends then: its caller would
  // give up.
  absl::Duration wait = absl::Seconds(3);
  size_t tokenizers = 2;  // Children that are kept, those of the latest used models.
  // A child that answers no question for so long is ended. Long enough to read the largest
  // tokenizers on a slow board: one of 262,000 tokens in 30 MB takes 4 to 7 s on two busy cores.
  absl::Duration patience = absl::Seconds(20);
  // Of one child. That tokenizer takes 384 MiB.
  int64_t memory_bytes = int64_t{1} << 30;
};

// What is run as the child (counter_program.h).
struct CounterProgram {
  std::string path;
  std::vector<std::string> arguments = {};
  box::Level at_most = box::Level::kFull;  // Of its box.
};

class PromptCheck {
 public:
  // The refusal, one line with the remedy; "": nothing known against the prompts.
  using Answer = std::function<void(const std::string& refusal)>;

  // store, clock: outlive the check.
  PromptCheck(artifacts::BlobStore& store, const Clock& clock, CounterProgram program,
              PromptCheckLimits limits = {});
  ~PromptCheck();
  PromptCheck(const PromptCheck&) = delete;
  PromptCheck& operator=(const PromptCheck&) = delete;

  // `answer` is called once, on this thread or on the check's; it must not block.
  void Ask(core::PromptQuestion question, Answer answer);
  // Questions that wait are answered with "", later ones at once.
  void Stop();

 private:
  struct Waiting {
    core::PromptQuestion question;
    Answer answer;
    Monotonic asked;
  };

  void Run();
  std::string Refusal(const core::PromptQuestion& question, absl::Duration left);
  [[nodiscard]] v1::PromptCountQuestion Written(const core::PromptQuestion& question,
                                                absl::Duration left) const;
  absl::StatusOr<CounterChild*> ChildOf(const ArtifactId& model);
  [[nodiscard]] std::string TellOfChild(const core::PromptQuestion& question,
                                        const absl::Status& end) const;

  artifacts::BlobStore& store_;
  const Clock& clock_;
  const PromptCheckLimits limits_;
  const CounterProgram program_;
  runtime::BoundedQueue<Waiting> waiting_;
  UniqueDescriptor stop_;  // An eventfd: nobody wants the answer any more.
  // The rest is of the check's thread alone. By the model that they have read, the latest used one
  // first.
  std::list<std::pair<ArtifactId, std::unique_ptr<CounterChild>>> children_;
  std::optional<box::Level> level_;  // Once it was tried what this machine gives.
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_PROMPT_CHECK_H_
