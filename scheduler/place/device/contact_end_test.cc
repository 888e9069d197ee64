// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares the planned end of a job on a board with ten minutes of contact a day with the end when
// its files have come.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

constexpr double kBytesPerSecond = 50e3;
constexpr absl::Duration kContact = absl::Minutes(10);
constexpr absl::Duration kDay = absl::Hours(24);

// A board with contact each day from `of_day` on, which was there for three of them.
class BoardWithContact {
 public:
  explicit BoardWithContact(absl::Duration of_day) : of_day_(of_day) {
    now_ = absl::FromUnixSeconds(1'800'000'000);
    now_ = absl::UnixEpoch() + absl::Floor(now_ - absl::UnixEpoch(), kDay) + of_day;
    view_ = OrinNano("barn");
    view_.device.mutable_info()->set_emulated(false);
    view_.device.mutable_info()->clear_link_bytes_per_second();
    v1::LinkMeasure& link = *view_.device.mutable_heartbeat()->mutable_link();
    link.set_download_bytes_per_second(kBytesPerSecond);
    link.set_upload_bytes_per_second(kBytesPerSecond);
    link.mutable_contact_ratio_by_hour()->Resize(168, -1.0F);
    // Each hour from the first contact to the third, which continues.
    for (absl::Time hour = now_ - 2 * kDay; hour + absl::Hours(1) <= now_; hour += absl::Hours(1)) {
      const absl::Time begin =
          absl::UnixEpoch() + absl::Floor(hour - absl::UnixEpoch(), absl::Hours(1));
      link.set_contact_ratio_by_hour(
          HourOfWeek(begin), static_cast<float>(absl::FDivDuration(
                                 ContactIn(begin, begin + absl::Hours(1)), absl::Hours(1))));
    }
  }

  // For a job with these bytes of inputs that is planned now.
  v1::Candidate Told(int64_t bytes) {
    Snapshot snapshot = MakeSnapshot({view_}, profiles_);
    snapshot.now = now_;
    snapshot.queue.push_back(RealJob("j1", 100));
    snapshot.queue[0].submitted = now_;
    snapshot.queue[0].inputs[0].artifact.set_size_bytes(bytes - 4'000'000);
    const auto plan = PlanQueue(snapshot);
    EXPECT_EQ(plan[0].placement.device_id(), "id-barn") << plan[0].placement.reason();
    return plan[0].placement.best(0);
  }

  absl::Duration TrueFetch(const v1::Prediction& prediction) const {
    return After(absl::Seconds(static_cast<double>(prediction.fetch_bytes()) / kBytesPerSecond),
                 now_) -
           now_;
  }
  // When transfers of the prediction's bytes have passed, in the contact that there is.
  absl::Duration TrueEnd(const v1::Prediction& prediction) const {
    const absl::Time fetched =
        After(absl::Seconds(static_cast<double>(prediction.fetch_bytes()) / kBytesPerSecond), now_);
    const absl::Time ran =
        fetched + absl::Seconds(prediction.run_seconds().mean() + prediction.start_seconds() +
                                prediction.checkpoint_seconds() + prediction.evaluate_seconds());
    return After(absl::Seconds(static_cast<double>(prediction.upload_bytes()) / kBytesPerSecond),
                 ran) -
           now_;
  }

 private:
  static int HourOfWeek(absl::Time time) {
    const absl::CivilHour hour = absl::ToCivilHour(time, absl::UTCTimeZone());
    return 24 * static_cast<int>(absl::GetWeekday(absl::CivilDay(hour))) + hour.hour();
  }
  [[nodiscard]] absl::Time ContactOf(absl::Time time) const {  // The latest that began.
    return now_ + kDay * std::floor(absl::FDivDuration(time - now_, kDay));
  }
  [[nodiscard]] absl::Duration ContactIn(absl::Time begin, absl::Time end) const {
    absl::Duration sum;
    for (absl::Time contact = ContactOf(begin); contact < end; contact += kDay) {
      sum += std::max(absl::ZeroDuration(),
                      std::min(end, contact + kContact) - std::max(begin, contact));
    }
    return sum;
  }
  [[nodiscard]] absl::Time After(absl::Duration contact, absl::Time time) const {
    for (absl::Time begin = ContactOf(time); contact > absl::ZeroDuration(); begin += kDay) {
      const absl::Time from = std::max(time, begin);
      const absl::Duration there = std::max(absl::ZeroDuration(), begin + kContact - from);
      if (there >= contact) {
        return from + contact;
      }
      contact -= there;
    }
    return time;
  }

  const absl::Duration of_day_;
  absl::Time now_;
  DeviceView view_;
  const ProfileTable profiles_ = ProfileTable::Priors();
};

class ContactEndTest : public testing::TestWithParam<absl::Duration> {};

TEST_P(ContactEndTest, AfterThreeContactsTheToldEndIsWithinAFifth) {
  BoardWithContact board(GetParam());
  for (const double bytes : {5e6, 20e6, 35e6, 60e6, 100e6, 250e6, 600e6}) {
    const v1::Candidate told = board.Told(static_cast<int64_t>(bytes));
    // The result, which takes days, would hide an error of the fetch.
    const double fetched = absl::ToDoubleSeconds(board.TrueFetch(told.prediction()));
    EXPECT_NEAR(told.prediction().fetch_seconds(), fetched, 0.2 * fetched) << bytes << " bytes";
    const double ends = absl::ToDoubleSeconds(board.TrueEnd(told.prediction()));
    EXPECT_NEAR(told.finish_in_seconds(), ends, 0.2 * ends) << bytes << " bytes of inputs";
  }
}

// In the middle of an hour, across its end, and across the end of the week.
INSTANTIATE_TEST_SUITE_P(EachTime, ContactEndTest,
                         testing::Values(absl::Hours(14) + absl::Minutes(5),
                                         absl::Hours(14) + absl::Minutes(55),
                                         absl::Hours(23) + absl::Minutes(57)));

}  // namespace
}  // namespace wattle::scheduler
