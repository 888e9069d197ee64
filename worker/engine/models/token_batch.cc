// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/token_batch.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace wattle::engine {
namespace {

// Any token can pad, because causality hides it. Every vocabulary has token 0.
constexpr int64_t kPadding = 0;

GroupedExamples OneRectangle(const formats::ExamplePool& pool, absl::Span<const size_t> examples) {
  GroupedExamples grouped{.groups = {{.sequences = static_cast<int64_t>(examples.size())}},
                          .examples = {examples.size()}};
  int64_t& longest = grouped.groups[0].tokens;
  for (const size_t example : examples) {
    longest = std::max(longest, static_cast<int64_t>(pool.TokenCount(example)));
  }
  return grouped;
}

// Examples being collected into one group.
class Sharing {
 public:
  Sharing(const formats::ExamplePool& pool, size_t first) : pool_(pool), first_(first) {
    Add(Tokens(first), Tokens(first));
  }

  // Adds the example if the group then has fewer rows, and no more scores, than the two separately.
  bool Take(size_t example) {
    const int64_t beginning =
        std::min(beginning_, static_cast<int64_t>(pool_.CommonBeginning(first_, example)));
    const int64_t own = Tokens(example);
    const auto members = static_cast<int64_t>(lengths_.size()) + 1;
    const int64_t apart = std::accumulate(lengths_.begin(), lengths_.end(), own);
    const int64_t together = apart - (members - 1) * beginning;
    if (beginning == 0 || together >= Rows() + own || together * together > scores_ + own * own) {
      return false;
    }
    Add(beginning, own);
    return true;
  }

  [[nodiscard]] size_t size() const { return lengths_.size(); }
  [[nodiscard]] SequenceGroup Group() const {
    SequenceGroup group{.sequences = 1, .tokens = Rows()};
    if (lengths_.size() > 1) {
      for (const int64_t length : lengths_) {
        group.branches.push_back(length - beginning_);
      }
    }
    return group;
  }

 private:
  [[nodiscard]] int64_t Tokens(size_t example) const {
    return static_cast<int64_t>(pool_.TokenCount(example));
  }
  [[nodiscard]] int64_t Rows() const {
    return std::accumulate(lengths_.begin(), lengths_.end(), beginning_) -
           static_cast<int64_t>(lengths_.size()) * beginning_;
  }
  void Add(int64_t beginning, int64_t length) {
    beginning_ = beginning;
    lengths_.push_back(length);
    scores_ += length * length;
  }

  const formats::ExamplePool& pool_;
  const size_t first_;
  int64_t beginning_ = 0;         // tokens at the beginning of all members
  std::vector<int64_t> lengths_;  // per member
  int64_t scores_ = 0;            // attention scores if each member were separate
};

}  // namespace

int64_t SequenceGroup::longest() const {
  if (branches.empty()) {
    return tokens;
  }
  const int64_t own = std::accumulate(branches.begin(), branches.end(), int64_t{0});
  return tokens - own + *std::max_element(branches.begin(), branches.end());
}

std::vector<Stretch> StretchesOf(const SequenceGroup& group) {
  const int64_t own = std::accumulate(group.branches.begin(), group.branches.end(), int64_t{0});
  std::vector<Stretch> stretches = {
      {.tokens = group.tokens - own, .first_position = group.first_position}};
  const int64_t behind = group.first_position + group.tokens - own;
  for (const int64_t branch : group.branches) {
    const Stretch& last = stretches.back();
    stretches.push_back(
        {.begin = last.begin + last.tokens, .tokens = branch, .first_position = behind});
  }
  return stretches;
}

GroupedExamples GroupExamples(const formats::ExamplePool& pool, absl::Span<const size_t> examples,
                              BatchForm form) {
  if (form == BatchForm::kPadded) {
    return OneRectangle(pool, examples);
  }
  GroupedExamples grouped;
  for (size_t i = 0; i < examples.size();) {
    Sharing sharing(pool, examples[i]);
    while (i + sharing.size() < examples.size() && sharing.Take(examples[i + sharing.size()])) {
    }
    grouped.groups.push_back(sharing.Group());
    grouped.examples.push_back(sharing.size());
    i += sharing.size();
  }
  return grouped;
}

TokenBatch MakeTokenBatch(const formats::ExamplePool& pool, absl::Span<const size_t> examples,
                          BatchForm form) {
  TokenBatch batch;
  GroupedExamples grouped = GroupExamples(pool, examples, form);
  batch.groups = std::move(grouped.groups);
  batch.examples = static_cast<int64_t>(examples.size());
  size_t example = 0;
  for (size_t i = 0; i < batch.groups.size(); ++i) {
    const SequenceGroup& group = batch.groups[i];
    const int64_t beginning = group.branches.empty() ? 0 : StretchesOf(group).front().tokens;
    for (size_t member = 0; member < grouped.examples[i]; ++member, ++example) {
      const int64_t row_start = batch.rows();
      int64_t place = 0;  // position in the example
      pool.ForEachToken(examples[example], [&](int64_t token, bool counts) {
        if (place++ < beginning && member > 0) {
          return;
        }
        if (counts) {
          batch.predicting.push_back(batch.rows() - 1);
          batch.targets.push_back(token);
        }
        batch.tokens.push_back(token);
      });
      batch.real_tokens += static_cast<int64_t>(pool.TokenCount(examples[example]));
      if (form == BatchForm::kPadded) {
        batch.tokens.resize(static_cast<size_t>(row_start + group.tokens), kPadding);
      }
    }
  }
  return batch;
}

}  // namespace wattle::engine
