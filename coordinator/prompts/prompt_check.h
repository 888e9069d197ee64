// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells before a generate job is accepted that one of its prompts fills the model's context, before
// a job on conversations that the model's chat template cannot write them, and before a job on a
// text that the text is one token: every device would refuse them. Short prompts need no tokenizer
// and are answered at once. The others are counted on a thread of this class, so that neither the
// thread of the state nor a thread of gRPC waits. The work on one question is bounded; what lies
// beyond the bound is found by the device alone. Thread-safe.
#ifndef WATTLE_COORDINATOR_PROMPTS_PROMPT_CHECK_H_
#define WATTLE_COORDINATOR_PROMPTS_PROMPT_CHECK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "artifacts/blob_store.h"
#include "base/clock.h"
#include "coordinator/core/certain_failure.h"
#include "coordinator/runtime/bounded_queue.h"
#include "formats/byte_pair_encoding.h"
#include "formats/data_set.h"
#include "units/id.h"

namespace wattle::prompts {

struct PromptCheckLimits {
  int64_t file_bytes = int64_t{32} << 20;  // Read of a file of prompts.
  int64_t text_bytes = int64_t{4} << 20;   // Encoded for one question.
  size_t questions = 64;                   // That wait; more are answered with "".
  // A question that waited longer is answered with "", and counting ends then: its caller would
  // give up.
  absl::Duration wait = absl::Seconds(3);
  size_t tokenizers = 2;  // Kept, the latest used ones.
};

class PromptCheck {
 public:
  // The refusal, one line with the remedy; "": nothing known against the prompts.
  using Answer = std::function<void(const std::string& refusal)>;

  // store, clock: outlive the check.
  PromptCheck(artifacts::BlobStore& store, const Clock& clock, PromptCheckLimits limits = {});
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
  // in_time: whether there is still somebody who waits for the answer.
  std::string Refusal(const core::PromptQuestion& question, const std::function<bool()>& in_time);
  std::string RefusalOfText(const core::PromptQuestion& question);
  std::string RefusalOfPrompts(const core::PromptQuestion& question,
                               const std::function<bool()>& in_time);
  std::string RefusalOfConversations(const core::PromptQuestion& question,
                                     const core::ConversationData& data,
                                     const std::function<bool()>& in_time);
  absl::StatusOr<std::vector<formats::Prompt>> PromptsOf(const core::PromptQuestion& question);
  absl::StatusOr<const formats::BytePairEncoding*> TokenizerOf(const ArtifactId& model);

  artifacts::BlobStore& store_;
  const Clock& clock_;
  const PromptCheckLimits limits_;
  runtime::BoundedQueue<Waiting> waiting_;
  // By the artifact that has them, the latest used one first. Of the check's thread alone.
  std::list<std::pair<ArtifactId, formats::BytePairEncoding>> tokenizers_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_PROMPT_CHECK_H_
