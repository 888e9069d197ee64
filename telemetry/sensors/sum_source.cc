// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/sum_source.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/match.h"

#include "base/status_macros.h"

namespace wattle::telemetry {
namespace {

class SumSource final : public Source {
 public:
  SumSource(std::vector<std::unique_ptr<Source>> parts, const std::string& name,
            const std::string& scope)
      : parts_(std::move(parts)) {
    const SourceInfo& first = parts_[0]->info();
    info_.name = name;
    info_.energy_source = first.energy_source;
    info_.scope = scope;
    info_.rank = first.rank;
    info_.averages = true;
    info_.cadence = first.cadence;
    info_.deadline = absl::ZeroDuration();
    info_.plausible_max = Watts(0);
    for (const std::unique_ptr<Source>& part : parts_) {
      const SourceInfo& info = part->info();
      info_.cadence = std::max(info_.cadence, info.cadence);
      info_.deadline += info.deadline;
      info_.averages = info_.averages && info.averages;
      info_.plausible_max += info.plausible_max;
      info_.error_ratio = std::max(info_.error_ratio, info.error_ratio);
      info_.error_floor += info.error_floor;
      info_.channels.insert(info_.channels.end(), info.channels.begin(), info.channels.end());
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> all;
    size_t first_channel = 0;
    for (const std::unique_ptr<Source>& part : parts_) {
      WATTLE_ASSIGN_OR_RETURN(const std::vector<Reading> readings, part->Poll(now));
      for (Reading reading : readings) {
        reading.channel += first_channel;
        all.push_back(reading);
      }
      first_channel += part->info().channels.size();
    }
    return all;
  }

 private:
  std::vector<std::unique_ptr<Source>> parts_;
  SourceInfo info_;
};

Candidate* Usable(std::vector<Candidate>& candidates, const std::string& name) {
  const auto found =
      std::find_if(candidates.begin(), candidates.end(), [&name](const Candidate& candidate) {
        return candidate.name == name && candidate.source != nullptr;
      });
  return found == candidates.end() ? nullptr : &*found;
}

// Whether the total consists of counters, whose metric names end with this suffix.
bool CountsEnergy(const Source& source) {
  return std::none_of(source.info().channels.begin(), source.info().channels.end(),
                      [](const Channel& channel) {
                        return channel.in_total && !absl::EndsWith(channel.metric, "_joules_total");
                      });
}

}  // namespace

std::unique_ptr<Source> MakeSumSource(std::vector<std::unique_ptr<Source>> parts,
                                      const std::string& name, const std::string& scope) {
  return std::make_unique<SumSource>(std::move(parts), name, scope);
}

void AddGpusToProcessors(std::vector<Candidate>& candidates) {
  Candidate* rapl = Usable(candidates, "rapl");
  Candidate* nvml = Usable(candidates, "nvml");
  if (rapl == nullptr || nvml == nullptr || !CountsEnergy(*nvml->source)) {
    return;
  }
  std::vector<std::unique_ptr<Source>> parts;
  parts.push_back(std::move(rapl->source));
  parts.push_back(std::move(nvml->source));
  *rapl = {.name = "rapl and nvml",
           .source = MakeSumSource(std::move(parts), "rapl and nvml", "soc_rails_and_gpu")};
  candidates.erase(candidates.begin() + (nvml - candidates.data()));
}

}  // namespace wattle::telemetry
