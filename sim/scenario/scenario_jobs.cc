// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The jobs of a scenario's file with their times, and the models and data that they name.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "proto/model_shape.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/scenario_parts_internal.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {
namespace {

constexpr size_t kArrivalsMax = 100'000;
constexpr double kBytesPerWeight = 4.0;
constexpr size_t kIdDigits = 64;

// An id for an artifact without content.
std::string IdOf(const std::string& kind, const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  std::string id;
  while (id.size() < kIdDigits) {
    for (const char byte : absl::StrCat(kind, "/", name, id.size())) {
      hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    }
    absl::StrAppend(&id, absl::Hex(hash, absl::kZeroPad16));
  }
  return id;
}

v1::ArtifactInfo ModelNamed(const std::string& name, const v1::ModelShape& shape) {
  v1::ArtifactInfo model;
  model.set_artifact_id(IdOf("model", name));
  model.set_name(name);
  model.set_kind(v1::ARTIFACT_KIND_MODEL);
  *model.mutable_model_shape() = shape;
  model.set_parameter_count(std::llround(ParameterCount(shape)));
  model.set_quantization("none");
  model.set_size_bytes(std::llround(kBytesPerWeight * ParameterCount(shape)));
  return model;
}

// The shape of the published tables' model with this many layers.
v1::ModelShape PublishedShape(int layers) {
  for (const v1::ProfileRow& row : scheduler::ProfileTable::Priors().Rows()) {
    if (row.signature().model().layers() == layers) {
      return row.signature().model();
    }
  }
  return {};
}

// The times of one entry of jobs: once, periodic, drawn, or from a trace.
absl::Status ReadTimes(const v1::ScenarioJobs& jobs, const FilePart& part, const ReadFile& read,
                       double duration, JobGroup& group) {
  group.begin_seconds = jobs.at();
  group.end_seconds = jobs.has_until() ? jobs.until() : duration;
  group.per_day = jobs.per_day();
  for (const auto& [field, seconds] :
       {std::pair("at", jobs.at()), {"until", jobs.until()}, {"every", jobs.every()}}) {
    if (seconds > duration) {
      return part.Wrong(field, "a time within duration, such as 6h or 1d 12h");
    }
  }
  const auto too_many = [&](absl::string_view what) {
    return part.Error(absl::StrCat("job ", group.spec.name(), ": ", what));
  };
  if ((jobs.every() > 0.0 ? 1 : 0) + (group.per_day > 0.0 ? 1 : 0) +
          (jobs.trace().empty() ? 0 : 1) >
      1) {
    return too_many("every, per_day and trace exclude each other; wanted one of them");
  }
  if (!jobs.trace().empty()) {
    WATTLE_ASSIGN_OR_RETURN(const std::string text, read(jobs.trace()));
    WATTLE_ASSIGN_OR_RETURN(group.arrivals, ParseArrivals(text, jobs.trace()));
    if (group.arrivals.back().at_seconds >= duration) {
      return part.Wrong("trace",
                        absl::StrCat("arrivals before the end of duration; its last is at ",
                                     group.arrivals.back().at_seconds, " s"));
    }
  } else if (jobs.every() > 0.0) {
    const size_t most = jobs.has_count() ? static_cast<size_t>(jobs.count()) : kArrivalsMax + 1;
    double at = group.begin_seconds;
    while (group.arrivals.size() < most && at < group.end_seconds) {
      group.arrivals.push_back({.at_seconds = at});
      at += jobs.every();
    }
  } else if (!(group.per_day > 0.0)) {
    group.arrivals.assign(static_cast<size_t>(std::max(jobs.count(), 1)),
                          {.at_seconds = group.begin_seconds});
  }
  const double drawn = group.per_day * (group.end_seconds - group.begin_seconds) / kSecondsOfDay;
  if (drawn > static_cast<double>(kArrivalsMax)) {
    return part.Wrong("per_day", absl::StrCat("at most ", kArrivalsMax, " arrivals in all"));
  }
  return group.arrivals.size() <= kArrivalsMax
             ? absl::OkStatus()
             : too_many(
                   absl::StrCat(group.arrivals.size(), " arrivals; wanted at most ", kArrivalsMax));
}

absl::StatusOr<JobGroup> GroupOf(const v1::ScenarioJobs& jobs, const FilePart& part,
                                 const ReadFile& read, const Scenario& scenario) {
  JobGroup group;
  group.spec = jobs.job();
  group.spec.set_name(jobs.has_name() ? jobs.name() : group.spec.name());
  if (group.spec.name().empty()) {
    return part.Error(absl::StrCat("jobs.name: missing; wanted a name"));
  }
  WATTLE_RETURN_IF_ERROR(ReadTimes(jobs, part, read, scenario.duration_seconds, group));
  group.place = absl::StrCat(part.PlaceOf("job"), "job ", group.spec.name(), ": ");
  absl::Status valid = core::ValidateSpec(group.spec, /*files_needed=*/true);
  if (valid.ok()) {
    valid = InputsOf(scenario, group.spec).status();
  }
  if (!valid.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(group.place, valid.message()));
  }
  return group;
}

}  // namespace

absl::Status ReadArtifacts(const v1::ScenarioFile& file, const FilePart& top, Scenario& scenario) {
  // The models of the published tables are always there.
  scenario.artifacts = {ModelNamed("gpt2", PublishedShape(12)),
                        ModelNamed("distilgpt2", PublishedShape(6))};
  for (const v1::ScenarioModel& model : file.models()) {
    if (const absl::Status valid =
            CheckModelShape(model.shape(), absl::StrCat("models.", model.name()));
        !valid.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(top.Of("models").PlaceOf(model.name()), valid.message()));
    }
    auto& known = scenario.artifacts;
    known.erase(std::remove_if(known.begin(), known.end(),
                               [&](const auto& one) { return one.name() == model.name(); }),
                known.end());  // The file's gpt2 replaces the published one.
    known.push_back(ModelNamed(model.name(), model.shape()));
  }
  for (const v1::ScenarioDataSet& one : file.data()) {
    v1::ArtifactInfo& data = scenario.artifacts.emplace_back();
    data.set_artifact_id(IdOf("data", one.name()));
    data.set_name(one.name());
    data.set_kind(v1::ARTIFACT_KIND_DATASET);
    data.mutable_dataset()->set_format(one.data().format());
    data.mutable_dataset()->set_examples(std::llround(one.data().examples()));
    data.mutable_dataset()->set_mean_byte_length(one.data().mean_bytes());
    data.set_size_bytes(std::llround(one.data().examples() * one.data().mean_bytes()));
  }
  return absl::OkStatus();
}

absl::Status ReadJobs(const v1::ScenarioFile& file, const FilePart& top, const ReadFile& read,
                      Scenario& scenario) {
  std::set<std::string> names;
  for (int i = 0; i < file.jobs_size(); ++i) {
    const FilePart part = top.Of("jobs", i);
    WATTLE_ASSIGN_OR_RETURN(JobGroup group, GroupOf(file.jobs(i), part, read, scenario));
    if (!names.insert(group.spec.name()).second) {
      return part.Error(
          absl::StrCat("jobs.name: \"", group.spec.name(), "\" names two entries; wanted another"));
    }
    scenario.jobs.push_back(std::move(group));
  }
  return absl::OkStatus();
}

}  // namespace wattle::sim
