// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/device/transfer_schedule.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

#include "policy/selector.h"
#include "proto/job_kind.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/transfer_rate.h"
#include "scheduler/predict/work.h"
#include "scheduler/timetable/amounts.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

using timetable::Seconds;
using timetable::Supply;

constexpr char kSiteLabel[] = "site";
// Fetches of one plan that take turns of a site. Later fetches ignore the others, so that the cost
// of a plan is bounded: each fetch changes the possible turns of all boards of the site.
constexpr int kFetchesMax = 64;
// Duration of transfers that no window ever allows.
constexpr absl::Duration kNever = absl::Hours(24 * 366 * 100);

Supply* Copied(std::shared_ptr<const SiteLink>& link) {
  auto copy = std::make_shared<SiteLink>(*link);
  Supply* const turns = &copy->turns;
  ++copy->fetches;
  link = std::move(copy);
  return turns;
}

bool IsThere(const DeviceLoad& load, const std::string& artifact, absl::Time start) {
  const auto brought = load.files.find(artifact);
  return brought != load.files.end() && brought->second <= start;
}

// Bytes of the prediction's fetch that an earlier run of the board fetches.
double BytesBrought(const RunWithTransfers& run) {
  const auto& cached = run.view.device.heartbeat().cached_artifact_ids();
  std::set<std::string> counted;
  double bytes = 0;
  for (const InputView& input : run.job.inputs) {
    const std::string& id = input.artifact.artifact_id();
    if (IsThere(run.load, id, run.start) && counted.insert(id).second &&
        std::find(cached.begin(), cached.end(), id) == cached.end()) {
      bytes += static_cast<double>(std::max<int64_t>(0, input.artifact.size_bytes()));
    }
  }
  return bytes;
}

bool HasModelInMemory(const RunWithTransfers& run) {
  const v1::ArtifactInfo* const model = FindInput(run.job.inputs, kModelInput);
  return model != nullptr && IsThere(run.load, model->artifact_id(), run.start);
}

timetable::SupplyRun TurnAt(absl::Time begin, absl::Duration length) {
  return {.begin = timetable::UnixSecondsUp(begin),
          .length = std::max<Seconds>(1, timetable::SecondsUp(length)),
          .power = 1};
}

// Time until the fetch has its turn.
absl::Duration WaitForTurn(const RunWithTransfers& run, absl::Duration length) {
  if (run.load.link == nullptr) {
    return absl::ZeroDuration();
  }
  const timetable::SupplyRun turn = TurnAt(run.start, length);
  const std::optional<Seconds> begin = run.load.link->turns.EarliestFit(turn);
  return absl::Seconds(begin.value_or(turn.begin) - turn.begin);
}

}  // namespace

void AddTransferSchedules(const Snapshot& snapshot, std::vector<DeviceLoad>& loads) {
  std::map<std::string, std::vector<size_t>> sites;
  for (size_t i = 0; i < loads.size(); ++i) {
    const DeviceView& view = snapshot.devices[i];
    for (const std::string& id : view.coming_artifact_ids) {
      loads[i].files.emplace(id, absl::InfinitePast());
    }
    const auto site = policy::LabelValue(view.device.info(), kSiteLabel);
    if (site.has_value() && !site->empty()) {
      sites[std::string(*site)].push_back(i);
    }
  }
  for (const auto& [name, devices] : sites) {
    if (static_cast<int>(devices.size()) <= snapshot.transfers_per_site) {
      continue;
    }
    auto link = std::make_shared<SiteLink>(
        SiteLink{.site = name,
                 .devices = devices,
                 .turns = Supply({.cap = std::max(1, snapshot.transfers_per_site), .idle = 0})});
    for (const size_t i : devices) {
      if (const absl::Duration left = snapshot.devices[i].fetches_for;
          left > absl::ZeroDuration()) {
        link->turns.Add(TurnAt(snapshot.now, left));
      }
    }
    for (const size_t i : devices) {
      loads[i].link = link;
    }
  }
}

bool HasTransferSchedule(const JobView& job, const DeviceLoad& load, const v1::Prediction& alone,
                         double warm_start_seconds) {
  if (!job.models.empty() || (load.files.empty() && load.link == nullptr)) {
    return false;  // With several models the fetch is not known yet: WithTransferSchedule.
  }
  if (alone.fetch_bytes() > 0) {
    return true;
  }
  const v1::ArtifactInfo* const model = FindInput(job.inputs, kModelInput);
  return warm_start_seconds < alone.start_seconds() && model != nullptr &&
         load.files.contains(model->artifact_id());
}

v1::Prediction WithTransferSchedule(const RunWithTransfers& run, const v1::Prediction& alone,
                                    double warm_start_seconds) {
  v1::Prediction prediction = alone;
  if (!run.job.models.empty()) {
    return prediction;  // The model differs from board to board.
  }
  if (HasModelInMemory(run) && warm_start_seconds < alone.start_seconds()) {
    prediction.set_start_seconds(warm_start_seconds);
    prediction.set_start_energy_joules(alone.start_energy_joules() * warm_start_seconds /
                                       alone.start_seconds());
  }
  if (alone.fetch_bytes() <= 0) {
    return prediction;
  }
  const auto all = static_cast<double>(alone.fetch_bytes());
  const double left = std::max(0.0, all - BytesBrought(run));
  prediction.set_fetch_bytes(static_cast<int64_t>(left));
  prediction.set_fetch_seconds(alone.fetch_seconds() * left / all);
  prediction.set_fetch_energy_joules(alone.fetch_energy_joules() * left / all);
  if (left <= 0) {
    return prediction;
  }
  const absl::Duration wait =
      WaitForTurn(run, absl::Seconds(alone.time_scale() * prediction.fetch_seconds()));
  if (wait > absl::ZeroDuration()) {
    prediction.set_fetch_seconds(prediction.fetch_seconds() +
                                 absl::ToDoubleSeconds(wait) / alone.time_scale());
    absl::StrAppend(prediction.mutable_provenance_note(),
                    "; other boards fetch first over the link of site ", run.load.link->site,
                    ", which takes ", FormatElapsed(wait));
  }
  return prediction;
}

void AwaitLink(const LinkTimes& times, const RunOverLink& run, v1::Prediction& prediction) {
  const double scale = prediction.time_scale();
  const LinkEstimate link = LinkOf(run.device);
  const auto await = [&](double bytes, double mean_rate, absl::Time begin, bool here) {
    const absl::Duration takes =
        times.TimeFor({.bytes = bytes,
                       .bytes_per_second = mean_rate / (times.contact_ratio() * scale),
                       .begin = begin,
                       .here = here});
    return absl::ToDoubleSeconds(std::min(takes, kNever)) / scale;
  };
  const auto fetched = static_cast<double>(prediction.fetch_bytes());
  if (fetched > 0) {
    // The wait for a turn was added to the time of a mean hour.
    const double mean = fetched / link.download_bytes_per_second;
    const double turn = std::max(0.0, prediction.fetch_seconds() - mean);
    const absl::Time begin = run.start + absl::Seconds(scale * turn);
    prediction.set_fetch_seconds(
        turn + await(fetched, link.download_bytes_per_second, begin, run.here && turn <= 0));
  }
  const auto uploaded = static_cast<double>(prediction.upload_bytes());
  if (uploaded > 0) {
    const double before =
        TotalSeconds(prediction, prediction.run_seconds().mean()) - prediction.upload_seconds();
    prediction.set_upload_seconds(await(uploaded, link.upload_bytes_per_second,
                                        run.start + absl::Seconds(scale * before), false));
  }
  if (fetched + uploaded > 0 && !times.words().empty()) {
    absl::StrAppend(prediction.mutable_provenance_note(), "; ", times.words());
  }
}

double SlowTransferSeconds(const v1::Device& device, const v1::Prediction& prediction) {
  const double share = SlowLinkShare(device.heartbeat().link());
  if (share <= 0 || device.info().link_bytes_per_second() > 0) {
    return 0;
  }
  const LinkEstimate link = LinkOf(device);
  return share * (static_cast<double>(prediction.fetch_bytes()) / link.download_bytes_per_second +
                  static_cast<double>(prediction.upload_bytes()) / link.upload_bytes_per_second);
}

void AddTransfersOfRun(const v1::Device& device, const PlannedRun& run, DeviceLoad& load) {
  if (run.job.models.empty()) {
    for (const InputView& input : run.job.inputs) {
      const auto [brought, is_new] = load.files.emplace(input.artifact.artifact_id(), run.begin);
      brought->second = std::min(brought->second, run.begin);
    }
  }
  const v1::Prediction& prediction = run.prediction;
  if (load.link == nullptr || prediction.fetch_bytes() <= 0 || load.link->fetches >= kFetchesMax) {
    return;
  }
  const double scale = prediction.time_scale();
  const absl::Duration length =
      absl::Seconds(scale * static_cast<double>(prediction.fetch_bytes()) /
                    LinkOf(device).download_bytes_per_second);
  const absl::Duration until_end = absl::Seconds(scale * prediction.fetch_seconds());
  Copied(load.link)->Add(
      TurnAt(run.begin + std::max(absl::ZeroDuration(), until_end - length), length));
}

}  // namespace wattle::scheduler
