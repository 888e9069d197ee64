// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/decode_run.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/status/statusor.h"

#include "base/check.h"
#include "base/status_macros.h"

namespace wattle::cuda {
namespace {

using kernels::SequenceTokens;

constexpr size_t kRows = kMaxProductRows;
// Bound of recorded graphs: a batch has one form per number of sequences, a prompt two forms for
// each end.
constexpr size_t kMaxKnownSteps = 64;
constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kScratchBytesMax = int64_t{32} << 20;
constexpr int64_t kTokenBytes = sizeof(int64_t);
constexpr int64_t kInputBytes = kManyRows * (kTokenBytes + 2 * sizeof(int32_t) + kFloatBytes);

int64_t Aligned(int64_t bytes) {
  return (bytes + 15) / 16 * 16;
}

int64_t LogitsBytes(int64_t vocabulary) {
  return static_cast<int64_t>(kRows) * vocabulary * kFloatBytes;
}
// A short session needs no room for many rows, and a wide model takes fewer rows.
int RowsOf(const kernels::DecodeModel& model, const DecodeCache& cache, bool many_rows) {
  if (!many_rows || cache.capacity < kFewestManyRows) {
    return kMaxProductRows;
  }
  int rows = kManyRows;
  while (rows > kFewestManyRows && ScratchFloats(model, rows) * kFloatBytes > kScratchBytesMax) {
    rows /= 2;
  }
  return rows;
}

int64_t AmountsBytes(int64_t vocabulary) {
  return static_cast<int64_t>(kRows) * vocabulary * static_cast<int64_t>(sizeof(Amount));
}

}  // namespace

// The rows of one step as they are sent to the device, in one copy.
class DecodeRun::StepInputs {
 public:
  void Add(int64_t token, int64_t slot, int64_t position) {
    tokens_[count_] = token;
    slots_[count_] = static_cast<int32_t>(slot);
    positions_[count_] = static_cast<int32_t>(position);
    ++count_;
  }
  // Adds the random numbers of rows whose tokens are drawn.
  void AddUnits(absl::Span<const float> units) {
    std::copy(units.begin(), units.end(), units_.begin());
    units_count_ = units.size();
  }

  // Replaces the rows' tokens by these, already on the device.
  // NOLINTNEXTLINE(google-runtime-int): as the kernels' own
  void TakeTokensFrom(const long long* chosen) { chosen_ = chosen; }

  [[nodiscard]] size_t count() const { return count_; }

  // The rows on the device. place: kInputBytes on the device.
  absl::StatusOr<StepRows> Send(std::byte* place, KernelLauncher& launcher) const {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): sent parts are written before
    std::array<std::byte, kInputBytes> bytes;
    size_t size = 0;
    const auto append = [&](const auto& values, size_t count) {
      const size_t begin = size;
      size += count * sizeof(values.front());
      std::memcpy(bytes.data() + begin, values.data(), size - begin);
      return place + begin;
    };
    // NOLINTNEXTLINE(google-runtime-int): as the kernels' own
    const auto* tokens = reinterpret_cast<const long long*>(append(tokens_, count_));
    const auto* slots = reinterpret_cast<const int*>(append(slots_, count_));
    const auto* positions = reinterpret_cast<const int*>(append(positions_, count_));
    const auto* units = reinterpret_cast<const float*>(append(units_, units_count_));
    const size_t tokens_bytes = chosen_ != nullptr ? count_ * sizeof(tokens_.front()) : 0;
    if (chosen_ != nullptr) {
      WATTLE_RETURN_IF_ERROR(launcher.Copy(place, chosen_, static_cast<int64_t>(tokens_bytes)));
    }
    WATTLE_RETURN_IF_ERROR(launcher.Upload(place + tokens_bytes, bytes.data() + tokens_bytes,
                                           static_cast<int64_t>(size - tokens_bytes)));
    return StepRows{.tokens = tokens,
                    .slots = slots,
                    .positions = positions,
                    .units = units,
                    .count = static_cast<int>(count_)};
  }

 private:
  std::array<int64_t, kManyRows> tokens_ = {};
  std::array<int32_t, kManyRows> slots_ = {};
  std::array<int32_t, kManyRows> positions_ = {};
  std::array<float, kRows> units_ = {};
  size_t count_ = 0;
  size_t units_count_ = 0;
  const long long* chosen_ = nullptr;  // NOLINT(google-runtime-int)
};

int64_t DecodeRun::MemoryBytes(const kernels::DecodeModel& model, const DecodeCache& cache,
                               bool many_rows) {
  return Aligned(CacheBytes(model, cache)) +
         Aligned(ScratchFloats(model, RowsOf(model, cache, many_rows)) * kFloatBytes) +
         Aligned(kInputBytes) + Aligned(LogitsBytes(model.head.rows)) +
         Aligned(AmountsBytes(model.head.rows)) + Aligned(cache.slots * kTokenBytes) +
         Aligned(kStepsAhead * cache.slots * kTokenBytes);
}

DecodeRun::DecodeRun(const kernels::DecodeModel& model, const DecodeCache& cache,
                     const Means& means, KernelLauncher& launcher)
    : vocabulary_(model.head.rows),
      launcher_(launcher),
      rows_(RowsOf(model, cache, means.many != nullptr)),
      lengths_(static_cast<size_t>(cache.slots)),
      rest_(means.memory),
      cache_{.memory = Take(CacheBytes(model, cache)),
             .int8 = cache.int8,
             .slots = cache.slots,
             .capacity = cache.capacity},
      scratch_(reinterpret_cast<float*>(Take(ScratchFloats(model, rows_) * kFloatBytes))),
      inputs_(Take(kInputBytes)),
      logits_(reinterpret_cast<float*>(Take(LogitsBytes(vocabulary_)))),
      amounts_(reinterpret_cast<Amount*>(Take(AmountsBytes(vocabulary_)))),
      // NOLINTNEXTLINE(google-runtime-int)
      chosen_(reinterpret_cast<long long*>(Take(cache.slots * kTokenBytes))),
      // NOLINTNEXTLINE(google-runtime-int)
      kept_(reinterpret_cast<long long*>(Take(kStepsAhead * cache.slots * kTokenBytes))),
      step_(
          model, cache_,
          {.scratch = scratch_, .nf4_tables = means.nf4_tables, .many = means.many, .rows = rows_},
          launcher) {}

std::byte* DecodeRun::Take(int64_t bytes) {
  std::byte* const taken = rest_;
  rest_ += Aligned(bytes);
  return taken;
}

absl::Status DecodeRun::Run(absl::Span<const SequenceTokens> sequences, float* logits) {
  return ForEachStep(
      sequences, Tokens::kGiven, {},
      [&](const StepRows& rows, size_t first, int wanted) -> absl::Status {
        WATTLE_RETURN_IF_ERROR(RunForm({rows.count, rows.first_logits, 0, false, 0.0, 0, 0.0},
                                       [&] { return step_.Run(rows, logits_); }));
        if (wanted == 0) {
          return absl::OkStatus();
        }
        return launcher_.Download(logits + static_cast<int64_t>(first) * vocabulary_, logits_,
                                  wanted * vocabulary_ * kFloatBytes);
      });
}

absl::Status DecodeRun::RunAndChoose(absl::Span<const SequenceTokens> sequences,
                                     const TokenChoice& choice, absl::Span<const float> units,
                                     absl::Span<int64_t> chosen) {
  const size_t count = sequences.size();
  WATTLE_CHECK(count >= 1 && count <= lengths_.size() && chosen.size() % count == 0 &&
                   chosen.size() <= static_cast<size_t>(kStepsAhead) * count &&
                   (!choice.draws() || units.size() == chosen.size()),
               "tokens, and a number that decides each, for each sequence");
  const auto bytes = [](size_t tokens) { return static_cast<int64_t>(tokens) * kTokenBytes; };
  std::vector<SequenceTokens> going(sequences.begin(), sequences.end());
  Tokens tokens = Tokens::kGiven;
  for (size_t made = 0; made < chosen.size(); made += count) {
    WATTLE_RETURN_IF_ERROR(
        ChooseEach(going, tokens, choice, choice.draws() ? units.subspan(made, count) : units));
    if (chosen.size() == count) {
      return launcher_.Download(chosen.data(), chosen_, bytes(count));
    }
    WATTLE_RETURN_IF_ERROR(launcher_.Copy(kept_ + made, chosen_, bytes(count)));
    if (tokens == Tokens::kGiven) {
      for (SequenceTokens& sequence : going) {
        sequence.tokens = sequence.tokens.last(1);  // a placeholder for the chosen token
      }
      tokens = Tokens::kChosen;
    }
  }
  return launcher_.Download(chosen.data(), kept_, bytes(chosen.size()));
}

absl::Status DecodeRun::ChooseEach(absl::Span<const SequenceTokens> sequences, Tokens tokens,
                                   const TokenChoice& choice, absl::Span<const float> units) {
  const absl::Span<const float> drawn = choice.draws() ? units : absl::Span<const float>();
  return ForEachStep(sequences, tokens, drawn,
                     [&](const StepRows& rows, size_t first, int wanted) -> absl::Status {
                       const auto run = [&]() -> absl::Status {
                         WATTLE_RETURN_IF_ERROR(step_.Run(rows, logits_));
                         if (wanted == 0) {
                           return absl::OkStatus();
                         }
                         return step_.Choose({.logits = logits_,
                                              .count = wanted,
                                              .choice = choice,
                                              .units = rows.units,
                                              .amounts = amounts_,
                                              .chosen = chosen_ + first});
                       };
                       return RunForm({rows.count, rows.first_logits, first, true,
                                       choice.temperature, choice.top_k, choice.top_p},
                                      run);
                     });
}

absl::Status DecodeRun::RunForm(const StepForm& form, absl::FunctionRef<absl::Status()> body) {
  // libtorch's launches cannot be part of our graphs.
  const bool many = std::get<0>(form) > kMaxProductRows;
  if (!has_graphs_ || many ||
      (known_.size() >= kMaxKnownSteps && known_.find(form) == known_.end())) {
    return body();
  }
  KnownStep& step = known_[form];
  ++step.runs;
  if (step.runs == 1) {
    return body();  // most pieces of a prompt do not repeat
  }
  if (step.graph == nullptr) {
    absl::StatusOr<std::unique_ptr<LaunchGraph>> graph = launcher_.Record(body);
    if (absl::IsUnimplemented(graph.status())) {
      has_graphs_ = false;
      return body();
    }
    WATTLE_RETURN_IF_ERROR(graph.status());
    step.graph = *std::move(graph);
  }
  return step.graph->Launch();
}

absl::Status DecodeRun::ForEachStep(absl::Span<const SequenceTokens> sequences, Tokens tokens,
                                    absl::Span<const float> units, OnStep on_step) {
  size_t first = 0;
  while (first < sequences.size()) {
    if (sequences[first].tokens.size() > 1) {
      const absl::Span<const float> unit = units.empty() ? units : units.subspan(first, 1);
      WATTLE_RETURN_IF_ERROR(RunPrompt(sequences[first], unit, first, on_step));
      ++first;
      continue;
    }
    StepInputs inputs;
    size_t next = first;
    while (next < sequences.size() && inputs.count() < kRows &&
           sequences[next].tokens.size() == 1) {
      Append(sequences[next].slot, sequences[next].tokens, inputs);
      ++next;
    }
    if (!units.empty()) {
      inputs.AddUnits(units.subspan(first, next - first));
    }
    if (tokens == Tokens::kChosen) {
      inputs.TakeTokensFrom(chosen_ + first);
    }
    WATTLE_ASSIGN_OR_RETURN(const StepRows rows, inputs.Send(inputs_, launcher_));
    WATTLE_RETURN_IF_ERROR(on_step(rows, first, rows.count));
    first = next;
  }
  return absl::OkStatus();
}

// Tokens in a prompt's next step; `left`: tokens still to come. If many remain, the last step has
// many, too.
size_t DecodeRun::PieceOf(size_t left) const {
  const auto most = static_cast<size_t>(rows_);
  constexpr size_t kFewest = kFewestManyRows;
  if (rows_ == kMaxProductRows || left < kFewest) {
    return kRows;
  }
  return left > most && left < most + kFewest ? left - kFewest : most;
}

// Only the last step of a prompt needs logits.
absl::Status DecodeRun::RunPrompt(const SequenceTokens& sequence, absl::Span<const float> unit,
                                  size_t index, OnStep on_step) {
  absl::Span<const int64_t> tokens = sequence.tokens;
  while (!tokens.empty()) {
    StepInputs inputs;
    const absl::Span<const int64_t> piece = tokens.subspan(0, PieceOf(tokens.size()));
    Append(sequence.slot, piece, inputs);
    tokens.remove_prefix(piece.size());
    const int wanted = tokens.empty() ? 1 : 0;
    if (wanted == 1) {
      inputs.AddUnits(unit);
    }
    WATTLE_ASSIGN_OR_RETURN(StepRows rows, inputs.Send(inputs_, launcher_));
    rows.first_logits = rows.count - wanted;
    WATTLE_RETURN_IF_ERROR(on_step(rows, index, wanted));
  }
  return absl::OkStatus();
}

void DecodeRun::Append(int64_t slot, absl::Span<const int64_t> tokens, StepInputs& inputs) {
  int64_t& length = lengths_[static_cast<size_t>(slot)];
  WATTLE_CHECK(length + static_cast<int64_t>(tokens.size()) <= cache_.capacity,
               "the cache is made for the whole sequence");
  for (const int64_t token : tokens) {
    inputs.Add(token, slot, length++);
  }
}

}  // namespace wattle::cuda
