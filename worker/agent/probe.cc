// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/probe.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include <nlohmann/json.hpp>

#include "proto/state_names.h"
#include "telemetry/sensors/chooser.h"

namespace wattle::agent {
namespace {

using telemetry::Channel;
using telemetry::Reading;

struct Shown {
  double number = 0;
  const char* unit = "";
  int decimals = 0;
};

Shown Show(const telemetry::Value& value) {
  if (const auto* power = std::get_if<Watts>(&value)) {
    return {power->value(), "W", 3};
  }
  if (const auto* count = std::get_if<telemetry::EnergyCount>(&value)) {
    return {count->value.value(), "J", 1};
  }
  if (const auto* temperature = std::get_if<Celsius>(&value)) {
    return {temperature->value(), "°C", 1};
  }
  if (const auto* charge = std::get_if<telemetry::ChargeState>(&value)) {
    return {charge->state_of_charge.value(), "of full", 3};
  }
  if (const auto* throttling = std::get_if<telemetry::Throttling>(&value)) {
    return {throttling->now ? 1.0 : 0.0, "throttled", 0};
  }
  if (const auto* supply = std::get_if<telemetry::UnderVoltage>(&value)) {
    return {supply->now ? 1.0 : 0.0, "too low", 0};
  }
  if (const auto* level = std::get_if<telemetry::Level>(&value)) {
    return {level->value, "", 3};
  }
  return {std::get<telemetry::Tally>(value).value, "", 0};
}

// One read of a source. The thread of the read shares it and may never return.
struct Ask {
  std::unique_ptr<telemetry::Source> source;
  Monotonic begin{};
  Monotonic end{};
  absl::StatusOr<std::vector<Reading>> readings = absl::UnknownError("not asked yet");
  absl::Notification answered;
};

void Take(const std::shared_ptr<Ask>& ask, const Clock& clock, ProbedSource* probed) {
  const absl::Duration deadline = probed->info.deadline;
  const absl::Duration left = ask->begin + deadline - clock.Boottime();
  if (!ask->answered.WaitForNotificationWithTimeout(std::max(left, absl::Milliseconds(1)))) {
    probed->cost = deadline;
    probed->problem = absl::DeadlineExceededError(
        absl::StrCat("no answer within ", absl::FormatDuration(deadline)));
    return;
  }
  probed->cost = ask->end - ask->begin;
  probed->asked_at = ask->end;
  probed->problem = ask->readings.status();
  if (ask->readings.ok()) {
    for (const Reading& reading : *ask->readings) {
      probed->readings[reading.channel] = reading;
    }
  }
}

// Whether every channel of the total has a value now.
bool TellsPower(const ProbedSource& source) {
  for (size_t i = 0; i < source.readings.size(); ++i) {
    if (source.info.channels[i].in_total && !source.readings[i]) {
      return false;
    }
  }
  return source.problem.ok() && source.info.measures_power();
}

// Chooses the source by telemetry::Chooser, like the worker.
void ChoosePower(std::vector<ProbedSource>& sources) {
  telemetry::Chooser chooser;
  std::vector<ProbedSource*> power;
  for (ProbedSource& source : sources) {
    if (source.info.measures_power()) {
      chooser.Add(source.info.rank, source.info.cadence);
      power.push_back(&source);
    }
  }
  Monotonic now;
  for (size_t i = 0; i < power.size(); ++i) {
    if (TellsPower(*power[i])) {
      chooser.OnReading(i, power[i]->asked_at);
      now = std::max(now, power[i]->asked_at);
    }
  }
  const std::optional<size_t> chosen = chooser.Choose(now);
  for (size_t i = 0; i < power.size(); ++i) {
    ProbedSource& source = *power[i];
    source.measures_device = chosen == i;
    if (source.measures_device) {
      source.reason = absl::StrCat("measures the device: the lowest rank (", source.info.rank,
                                   ") of those that tell its power now");
    } else if (!TellsPower(source)) {
      source.reason = "does not tell the device's power now";
    } else {
      source.reason = absl::StrCat("stands by: ", power[*chosen]->name, " has rank ",
                                   power[*chosen]->info.rank, ", this has ", source.info.rank);
    }
  }
}

std::string ValueText(const std::optional<Reading>& reading) {
  if (!reading) {
    return "-";
  }
  const Shown shown = Show(reading->value);
  return absl::StrFormat("%.*f%s%s", shown.decimals, shown.number, *shown.unit == '\0' ? "" : " ",
                         shown.unit);
}

std::string AgeText(const ProbedSource& source, const std::optional<Reading>& reading) {
  return reading ? absl::StrFormat(
                       "%.1f s", absl::ToDoubleSeconds(std::max(source.asked_at - reading->taken_at,
                                                                absl::ZeroDuration())))
                 : "-";
}

// Columns count characters: a continuation byte of UTF-8 has no width.
std::string Padded(const std::string& text, size_t width, bool right = false) {
  const auto shown = static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
  const std::string space(shown < width ? width - shown : 0, ' ');
  return right ? space + text : text + space;
}

void AppendSource(const ProbedSource& source, std::string* out) {
  absl::StrAppend(out, source.name);
  if (source.info.measures_power()) {
    absl::StrAppend(out, " (", LowerName(source.info.energy_source),
                    ", covers: ", source.info.scope, ")");
  }
  absl::StrAppend(out, "\n");
  if (!source.reason.empty()) {
    absl::StrAppend(out, "  ", source.reason, "\n");
  }
  if (!source.problem.ok()) {
    absl::StrAppend(out, "  cannot be used now: ", source.problem.message(), "\n");
    return;
  }
  absl::StrAppendFormat(out, "  new every %s; a read takes %.1f ms\n",
                        absl::FormatDuration(source.info.cadence),
                        absl::ToDoubleMilliseconds(source.cost));
  for (size_t i = 0; i < source.readings.size(); ++i) {
    const Channel& channel = source.info.channels[i];
    absl::StrAppend(out, "  ", channel.in_total ? "+ " : "  ", Padded(channel.name, 26), " ",
                    Padded(ValueText(source.readings[i]), 16, true), "  ",
                    Padded(AgeText(source, source.readings[i]), 7, true), "  ",
                    Padded(channel.metric, 34), " ", channel.file, "\n");
  }
}

using Json = nlohmann::ordered_json;

Json Number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json ChannelJson(const ProbedSource& source, size_t i) {
  const Channel& channel = source.info.channels[i];
  const std::optional<Reading>& reading = source.readings[i];
  Json json = {{"name", channel.name},         {"file", channel.file}, {"metric", channel.metric},
               {"in_total", channel.in_total}, {"value", nullptr},     {"unit", nullptr},
               {"age_seconds", nullptr}};
  if (reading) {
    const Shown shown = Show(reading->value);
    json["value"] = Number(shown.number);
    json["unit"] = shown.unit;
    json["age_seconds"] = Number(absl::ToDoubleSeconds(source.asked_at - reading->taken_at));
  }
  return json;
}

Json SourceJson(const ProbedSource& source) {
  const bool power = source.info.measures_power();
  Json channels = Json::array();
  for (size_t i = 0; i < source.readings.size(); ++i) {
    channels.push_back(ChannelJson(source, i));
  }
  return {{"name", source.name},
          {"problem", source.problem.ok() ? Json() : Json(std::string(source.problem.message()))},
          {"energy_source", power ? Json(LowerName(source.info.energy_source)) : Json()},
          {"scope", power ? Json(source.info.scope) : Json()},
          {"rank", power ? Json(source.info.rank) : Json()},
          {"measures_device", source.measures_device},
          {"reason", source.reason.empty() ? Json() : Json(source.reason)},
          {"cadence_seconds", Number(absl::ToDoubleSeconds(source.info.cadence))},
          {"read_seconds", Number(absl::ToDoubleSeconds(source.cost))},
          {"channels", channels}};
}

}  // namespace

std::vector<ProbedSource> ProbeSources(std::vector<telemetry::Candidate> candidates,
                                       const Clock& clock) {
  std::vector<ProbedSource> sources;
  std::vector<std::shared_ptr<Ask>> asks;
  for (telemetry::Candidate& candidate : candidates) {
    ProbedSource probed = {.name = candidate.name, .problem = candidate.problem};
    std::shared_ptr<Ask> ask;
    if (candidate.source != nullptr) {
      probed.info = candidate.source->info();
      probed.readings.resize(probed.info.channels.size());
      ask = std::make_shared<Ask>();
      ask->source = std::move(candidate.source);
      ask->begin = clock.Boottime();
      std::thread([ask, &clock] {
        ask->readings = ask->source->Poll(ask->begin);
        ask->end = clock.Boottime();
        ask->answered.Notify();
      }).detach();
    }
    sources.push_back(std::move(probed));
    asks.push_back(std::move(ask));
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    if (asks[i] != nullptr) {
      Take(asks[i], clock, &sources[i]);
    }
  }
  ChoosePower(sources);
  return sources;
}

std::string ProbeText(const std::vector<ProbedSource>& sources) {
  if (sources.empty()) {
    return "no sensor was found; the energy of receipts is modelled from predictions\n";
  }
  std::string out;
  for (const ProbedSource& source : sources) {
    AppendSource(source, &out);
  }
  const bool any = std::any_of(sources.begin(), sources.end(),
                               [](const ProbedSource& source) { return source.measures_device; });
  absl::StrAppend(&out, any ? "channels with + add up to the power of the device\n"
                            : "no source tells the device's power now: the energy of receipts is "
                              "modelled from predictions, or missing\n");
  return out;
}

std::string ProbeJson(const std::vector<ProbedSource>& sources) {
  Json objects = Json::array();
  for (const ProbedSource& source : sources) {
    objects.push_back(SourceJson(source));
  }
  // A driver's text may not be UTF-8; invalid bytes are replaced.
  return objects.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace wattle::agent
