// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The jobs of a scenario's file with their times, and the models and data that they name.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <yaml-cpp/yaml.h>

#include "coordinator/core/core.h"
#include "formats/yaml_node.h"
#include "proto/model_shape.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/scenario_parts_internal.h"
#include "sim/scenario/true_rates.h"
#include "sim/scenario/yaml_fields_internal.h"

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

// The shape of the published tables' model with so many layers.
v1::ModelShape PublishedShape(int layers) {
  for (const v1::ProfileRow& row : scheduler::ProfileTable::Priors().Rows()) {
    if (row.signature().model().layers() == layers) {
      return row.signature().model();
    }
  }
  return {};
}

// The times of one entry of jobs: once, every so often, drawn, or of a trace.
void ReadTimes(Fields& fields, const ReadFile& read, double duration, JobGroup& group) {
  const std::string within = "a time within duration, such as 6h or 1d 12h";
  group.begin_seconds = fields.Span("at", 0.0, duration, 0.0, within);
  group.end_seconds = fields.Span("until", 0.0, duration, duration, within);
  group.per_day = fields.Number("per_day", 0.0, 1e5, 0.0, "0 to 100000 jobs a day");
  const double every = fields.Span("every", 1.0, duration, 0.0, "a time from 1s on, such as 2h");
  const int count = fields.Whole("count", 1, static_cast<int>(kArrivalsMax), 0,
                                 absl::StrCat("1 to ", kArrivalsMax));
  const std::string trace = fields.Text("trace", "");
  if ((every > 0.0 ? 1 : 0) + (group.per_day > 0.0 ? 1 : 0) + (trace.empty() ? 0 : 1) > 1) {
    throw Problem{
        absl::StrCat(fields.place(), "job ", group.spec.name(),
                     ": every, per_day and trace exclude each other; wanted one of them")};
  }
  if (!trace.empty()) {
    group.arrivals = Unwrap(ParseArrivals(Unwrap(read(trace)), trace));
    if (group.arrivals.back().at_seconds >= duration) {
      fields.Fail("trace", absl::StrCat("arrivals before the end of duration; its last is at ",
                                        group.arrivals.back().at_seconds, " s"));
    }
  } else if (every > 0.0) {
    const size_t most = count > 0 ? static_cast<size_t>(count) : kArrivalsMax + 1;
    double at = group.begin_seconds;
    while (group.arrivals.size() < most && at < group.end_seconds) {
      group.arrivals.push_back({.at_seconds = at});
      at += every;
    }
  } else if (!(group.per_day > 0.0)) {
    group.arrivals.assign(static_cast<size_t>(std::max(count, 1)),
                          {.at_seconds = group.begin_seconds});
  }
  const double drawn = group.per_day * (group.end_seconds - group.begin_seconds) / kSecondsOfDay;
  if (drawn > static_cast<double>(kArrivalsMax)) {
    fields.Fail("per_day", absl::StrCat("at most ", kArrivalsMax, " arrivals in all"));
  }
  if (group.arrivals.size() > kArrivalsMax) {
    throw Problem{absl::StrCat(fields.place(), "job ", group.spec.name(), ": ",
                               group.arrivals.size(), " arrivals; wanted at most ", kArrivalsMax)};
  }
}

}  // namespace

void ReadArtifacts(Fields& top, Scenario& scenario) {
  // The models of the published tables are always there.
  scenario.artifacts = {ModelNamed("gpt2", PublishedShape(12)),
                        ModelNamed("distilgpt2", PublishedShape(6))};
  for (const auto& [name, node] : top.Map("models")) {
    v1::ModelShape shape;
    Check(formats::ReadMessage(node, top.file(), shape));
    if (const absl::Status valid = CheckModelShape(shape, absl::StrCat("models.", name));
        !valid.ok()) {
      throw Problem{absl::StrCat(Place(node, top.file()), valid.message())};
    }
    auto& known = scenario.artifacts;
    known.erase(std::remove_if(known.begin(), known.end(),
                               [&name = name](const auto& one) { return one.name() == name; }),
                known.end());  // Its own gpt2 in place of the published one.
    known.push_back(ModelNamed(name, shape));
  }
  for (const auto& [name, node] : top.Map("data")) {
    Fields fields(node, top.file(), absl::StrCat("data.", name));
    v1::ArtifactInfo data;
    data.set_artifact_id(IdOf("data", name));
    data.set_name(name);
    data.set_kind(v1::ARTIFACT_KIND_DATASET);
    const double examples =
        fields.Number("examples", 1.0, 1e9, 0.0, "a number of examples, 1 to 1000000000");
    if (examples < 1.0) {
      fields.Fail("examples", "a number of examples, 1 to 1000000000");
    }
    const double bytes =
        fields.Number("mean_bytes", 1.0, 1e6, 882.0, "the mean bytes of an example, 1 to 1000000");
    data.mutable_dataset()->set_format(fields.Text("format", "squad"));
    data.mutable_dataset()->set_examples(std::llround(examples));
    data.mutable_dataset()->set_mean_byte_length(bytes);
    data.set_size_bytes(std::llround(examples * bytes));
    fields.RefuseTheRest();
    scenario.artifacts.push_back(data);
  }
}

JobGroup ReadJobs(const YAML::Node& node, const std::string& file, const ReadFile& read,
                  const Scenario& scenario) {
  Fields fields(node, file, "jobs");
  JobGroup group;
  const YAML::Node job = fields.Node("job");
  Check(formats::ReadMessage(job, file, group.spec));
  const std::string name = fields.Text("name", group.spec.name());
  if (name.empty()) {
    throw Problem{absl::StrCat(Place(node, file), "jobs.name: missing; wanted a name")};
  }
  group.spec.set_name(name);
  ReadTimes(fields, read, scenario.duration_seconds, group);
  fields.RefuseTheRest();
  group.place = absl::StrCat(Place(job, file), "job ", name, ": ");
  absl::Status valid = core::ValidateSpec(group.spec, /*files_needed=*/true);
  if (valid.ok()) {
    valid = InputsOf(scenario, group.spec).status();
  }
  if (!valid.ok()) {
    throw Problem{absl::StrCat(group.place, valid.message())};
  }
  return group;
}

}  // namespace wattle::sim
