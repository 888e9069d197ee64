// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/smart_plug_answers.h"

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include <nlohmann/json.hpp>

#include "base/status_macros.h"
#include "base/utf8.h"

namespace wattle::telemetry {
namespace {

using Json = nlohmann::json;

constexpr double kSecondsPerMinute = 60;

absl::StatusOr<Json> ParseObject(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InternalError(
        absl::StrCat("the plug's answer is no JSON object: ", OneLine(text.substr(0, 80))));
  }
  return json;
}

// nullopt: the field is absent or null.
absl::StatusOr<std::optional<double>> Number(const Json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end() || field->is_null()) {
    return std::nullopt;
  }
  if (!field->is_number() || !std::isfinite(field->get<double>())) {
    return absl::InternalError(absl::StrCat(name, ": ", OneLine(field->dump().substr(0, 40)),
                                            " is no number in the plug's answer"));
  }
  return field->get<double>();
}

absl::StatusOr<double> Power(const Json& object, const char* name) {
  WATTLE_ASSIGN_OR_RETURN(const std::optional<double> watts, Number(object, name));
  if (!watts) {
    return absl::UnavailableError(
        absl::StrCat("the plug tells no ", name, ": it does not measure"));
  }
  return *watts;
}

// The element of the list of a plug with several outlets, or the only value of a plug with one.
absl::StatusOr<Json> OfChannel(const Json& energy, const char* name, size_t channel) {
  const auto field = energy.find(name);
  if (field == energy.end()) {
    return Json();
  }
  if (!field->is_array()) {
    return channel == 0 ? *field : Json();
  }
  if (channel >= field->size()) {
    return absl::UnavailableError(absl::StrCat(name, ": the plug has ", field->size(),
                                               " outlets, none with number ", channel));
  }
  return field->at(channel);
}

}  // namespace

absl::StatusOr<int> ParseShellyGeneration(const std::string& json) {
  WATTLE_ASSIGN_OR_RETURN(const Json answer, ParseObject(json));
  WATTLE_ASSIGN_OR_RETURN(const std::optional<double> generation, Number(answer, "gen"));
  if (generation && *generation >= 2 && *generation < 100) {
    return static_cast<int>(*generation);
  }
  if (!generation && answer.contains("type")) {
    return 1;
  }
  return absl::InternalError(
      absl::StrCat("/shelly: neither gen nor type in the answer: ", OneLine(json.substr(0, 80))));
}

absl::StatusOr<PlugReading> ParseShellyMeter(const std::string& json) {
  WATTLE_ASSIGN_OR_RETURN(const Json answer, ParseObject(json));
  const auto valid = answer.find("is_valid");
  if (valid != answer.end() && valid->is_boolean() && !valid->get<bool>()) {
    return absl::UnavailableError("the plug says that its value is not valid");
  }
  WATTLE_ASSIGN_OR_RETURN(const double watts, Power(answer, "power"));
  PlugReading reading = {.power = Watts(watts)};
  WATTLE_ASSIGN_OR_RETURN(const std::optional<double> watt_minutes, Number(answer, "total"));
  if (watt_minutes) {
    reading.energy = Joules(*watt_minutes * kSecondsPerMinute);
  }
  return reading;
}

absl::StatusOr<PlugReading> ParseShellyStatus(const std::string& json) {
  WATTLE_ASSIGN_OR_RETURN(const Json answer, ParseObject(json));
  const char* name = answer.contains("act_power") ? "act_power" : "apower";
  WATTLE_ASSIGN_OR_RETURN(const double watts, Power(answer, name));
  PlugReading reading = {.power = Watts(watts)};
  const auto counters = answer.find("aenergy");
  if (counters != answer.end() && counters->is_object()) {
    WATTLE_ASSIGN_OR_RETURN(const std::optional<double> watt_hours, Number(*counters, "total"));
    if (watt_hours) {
      reading.energy = FromWattHours(*watt_hours);
    }
  }
  return reading;
}

absl::StatusOr<PlugReading> ParseTasmotaStatus(const std::string& json, size_t channel) {
  WATTLE_ASSIGN_OR_RETURN(const Json answer, ParseObject(json));
  // A plug with a password answers 200 with {"WARNING": "Need
  // user=<username>&password=<password>"}.
  if (answer.contains("WARNING")) {
    return absl::PermissionDeniedError(
        "the plug wants its password; set `password` (and `user`) of the sensor");
  }
  const Json* energy = nullptr;
  const auto sensors = answer.find("StatusSNS");
  if (sensors != answer.end() && sensors->is_object() && sensors->contains("ENERGY")) {
    energy = &sensors->at("ENERGY");
  }
  if (energy == nullptr || !energy->is_object()) {
    return absl::UnavailableError("no StatusSNS.ENERGY in the answer: the plug does not measure");
  }
  Json own = Json::object();
  for (const char* name : {"Power", "Total"}) {
    WATTLE_ASSIGN_OR_RETURN(own[name], OfChannel(*energy, name, channel));
  }
  WATTLE_ASSIGN_OR_RETURN(const double watts, Power(own, "Power"));
  PlugReading reading = {.power = Watts(watts)};
  WATTLE_ASSIGN_OR_RETURN(const std::optional<double> kilowatt_hours, Number(own, "Total"));
  if (kilowatt_hours && channel == 0) {  // all outlets share one counter
    reading.energy = FromWattHours(*kilowatt_hours * 1000);
  }
  return reading;
}

}  // namespace wattle::telemetry
