// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When an attempt writes its checkpoints, and what a power cut costs. The rest of an attempt is in
// attempt_run.cc.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "units/format.h"
#include "worker/agent/core/attempt_run.h"
#include "worker/agent/core/attempt_texts.h"

namespace wattle::agent {
namespace {

// Smaller losses are rounding errors.
constexpr double kLostSecondsMin = 0.001;
// The time of a checkpoint before any prediction or write.
constexpr absl::Duration kWriteNotPredicted = absl::Seconds(5);

}  // namespace

// The worker was dead during the gap, so no work of that time has to be repeated.
void AttemptRun::AddGap(absl::Duration gap) {
  account_.AddLost(gap);
  gap_ = gap;
  record_.set_run_seconds_at_checkpoint(record_.run_seconds_at_checkpoint() +
                                        absl::ToDoubleSeconds(gap));
}

void AttemptRun::CountLostWork(const Instant& now) {
  account_.AdvanceTo(now.device);
  // Work since the last checkpoint is what a resumed run has to repeat.
  const double run_seconds = absl::ToDoubleSeconds(account_.attempt().In(Activity::kRun));
  const double lost = run_seconds - record_.run_seconds_at_checkpoint();
  if (lost > kLostSecondsMin && record_.started()) {
    record_.mutable_receipt()->set_lost_run_seconds(record_.receipt().lost_run_seconds() + lost);
    record_.set_run_seconds_lost_last(lost);
  } else if (gap_ > absl::ZeroDuration() && record_.interruptions_in_a_row() > 1) {
    // Cut off again, and no record of the work exists. The gap bounds the loss, so that a board
    // whose power comes and goes still writes a checkpoint.
    record_.set_run_seconds_lost_last(absl::ToDoubleSeconds(gap_));
  }
  gap_ = absl::ZeroDuration();
  // The cost of the next cut counts from here.
  record_.set_run_seconds_at_checkpoint(run_seconds);
}

CheckpointFacts AttemptRun::FactsOfCheckpoint(Monotonic at) {
  CheckpointFacts facts = {.write = checkpoint_time_ > absl::ZeroDuration()
                                        ? checkpoint_time_
                                        : predicted_stop_.checkpoint,
                           .between_cuts = cadence_.between_cuts(),
                           .loss_max = limits_.loss_max.value_or(absl::InfiniteDuration()),
                           .cut_off = absl::Seconds(record_.run_seconds_lost_last())};
  if (facts.write <= absl::ZeroDuration()) {
    facts.write = kWriteNotPredicted;
  }
  // A worn battery may fail near the reserve, so the interval shrinks with the time that is left.
  const policy::StopEstimate estimate = StopEstimateNow();
  if (const auto above = above_reserve_(); above && estimate.load > Watts(0)) {
    facts.until_reserve = *above / estimate.load;
  }
  // The wait counts from now, but intervals count from the last checkpoint.
  const absl::Duration room = cadence_.FlashWait(
      checkpoint_bytes_, limits_.flash_bytes_per_day.value_or(kFlashBytesPerDay), at);
  if (room > absl::ZeroDuration()) {
    facts.flash_wait = (at - *checkpointed_at_) + room;
  }
  return facts;
}

void AttemptRun::OrderCheckpoint(Monotonic at, const Instant& now) {
  // A stop writes a checkpoint of its own, and two orders at once would write the same state twice.
  if (!keeps_checkpoints_ || checkpoint_ordered_ || stop_ || !checkpointed_at_) {
    return;
  }
  // Chosen anew each time, because charge, card budget and the measured write time change.
  const CheckpointFacts facts = FactsOfCheckpoint(at);
  const CheckpointInterval next = ChooseCheckpointInterval(facts);
  record_.mutable_receipt()->set_checkpoint_interval_seconds(absl::ToDoubleSeconds(next.interval));
  const bool due = at - *checkpointed_at_ >= next.interval;
  // A checkpoint that the card's budget postpones may never come, so the reason is logged at once.
  if (told_bound_ != next.bound && (due || next.bound == CheckpointBound::kFlash)) {
    told_bound_ = next.bound;
    Log(CheckpointLine(next, facts), now);
  }
  if (!due) {
    return;
  }
  checkpoint_ordered_ = true;
  v1::RunnerCommand command;
  command.mutable_write_checkpoint();
  ports_.SendToRunner(command);
}

std::string AttemptRun::LossWarning() const {
  if (!limits_.loss_max || checkpoint_time_ <= *limits_.loss_max) {
    return "";
  }
  return absl::StrCat("policy.loss_seconds_max: ", absl::ToDoubleSeconds(*limits_.loss_max),
                      ": a checkpoint takes ", FormatElapsed(checkpoint_time_),
                      " here, so a cut costs as much; want ",
                      std::ceil(absl::ToDoubleSeconds(checkpoint_time_)), " or more, or 0");
}

void AttemptRun::NoteProgress() {
  record_.set_crashes_in_a_row(0);
  record_.set_interruptions_in_a_row(0);
}

// Logged once for each start, so that the wear of a card by days of cuts does not surprise its
// owner.
void AttemptRun::TellBorrowing(const Instant& now) {
  const double bytes_per_day = limits_.flash_bytes_per_day.value_or(kFlashBytesPerDay);
  const double ahead_bytes = cadence_.record().flash_debt_bytes();
  if (ahead_bytes > bytes_per_day && !std::exchange(told_borrowing_, true)) {
    Log(absl::StrCat("checkpoints borrow from the card's budget of later days: ",
                     FormatBytes(static_cast<int64_t>(ahead_bytes)),
                     " are written ahead of flash_bytes_per_day, ",
                     FormatBytes(static_cast<int64_t>(bytes_per_day))),
        now);
  }
}

void AttemptRun::OnCheckpoint(const v1::CheckpointDone& checkpoint, const Instant& now) {
  // Only a later step is progress: a job that repeats the same steps must run out of crashes.
  if (checkpoint.step() > record_.newest_checkpoint_step()) {
    record_.set_newest_checkpoint_step(checkpoint.step());
    NoteProgress();
  }
  const auto span = EndWrite(checkpoint.size_bytes(), now);
  const absl::Duration time = span ? span->end - span->begin : absl::Seconds(checkpoint.seconds());
  longest_checkpoint_ = std::max(longest_checkpoint_, time);
  checkpoint_time_ = time;
  checkpoint_bytes_ = checkpoint.size_bytes();
  // The interval begins at the end of the write, whose time is a cost of its own.
  checkpointed_at_ = span ? span->end : now.device;
  checkpoint_ordered_ = false;
  cadence_.OnWritten(checkpoint.size_bytes(), now.device);
  TellBorrowing(now);
  record_.mutable_receipt()->set_checkpoint_bytes(record_.receipt().checkpoint_bytes() +
                                                  checkpoint.size_bytes());
  record_.set_run_seconds_lost_last(0);
  record_.set_newest_checkpoint_step(std::max(record_.newest_checkpoint_step(), checkpoint.step()));
  CrashPoint("checkpoint");
  account_.AdvanceTo(now.device);
  record_.set_run_seconds_at_checkpoint(
      absl::ToDoubleSeconds(account_.attempt().In(Activity::kRun)));
  ports_.MakeRoom(checkpoint.size_bytes());  // for the next checkpoint
}

}  // namespace wattle::agent
