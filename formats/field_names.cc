// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/spelling_suggestion.h"
#include "formats/field_names_internal.h"
#include "formats/job_document_internal.h"
#include "formats/number_field_internal.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::formats {
namespace {

namespace pb = google::protobuf;

// Job fields, then policy fields. Remove a name when its field is added.
constexpr std::array<absl::string_view, 13> kComingFields = {"adapter",
                                                             "allowed_power_modes",
                                                             "chat_template",
                                                             "energy_budget_joules",
                                                             "gradient_checkpointing",
                                                             "harvest",
                                                             "matrix",
                                                             "method",
                                                             "power_mode",
                                                             "power_modes",
                                                             "qlora",
                                                             "upload",
                                                             "upload_budget_bytes"};

// Names that other schedulers use for one of our fields.
struct OtherName {
  absl::string_view name;
  absl::string_view advice;
};
constexpr std::array kOtherNames = {
    OtherName{"anti_affinity", "write apart: GROUP; jobs of one group run on boards of their own"},
    OtherName{"spread", "write apart: GROUP; jobs of one group run on boards of their own"},
};

// The unit at the end of a field's name, and the words for it after "a plain number".
struct Unit {
  absl::string_view suffix;
  absl::string_view words;  // empty: a unit that people write but no field has
};
constexpr std::array kUnits = {
    Unit{"_seconds", " of seconds"},
    Unit{"_celsius", " of degrees Celsius"},
    Unit{"_ratio", " from 0 to 1 (a ratio)"},
    Unit{"_joules", " of joules"},
    Unit{"_watts", " of watts"},
    Unit{"_bytes", " of bytes"},
    Unit{"_s", ""},
    Unit{"_sec", ""},
    Unit{"_secs", ""},
    Unit{"_second", ""},
    Unit{"_ms", ""},
    Unit{"_milliseconds", ""},
    Unit{"_min", ""},
    Unit{"_minutes", ""},
    Unit{"_h", ""},
    Unit{"_hours", ""},
    Unit{"_days", ""},
    Unit{"_c", ""},
    Unit{"_fahrenheit", ""},
    Unit{"_kelvin", ""},
    Unit{"_percent", ""},
    Unit{"_fraction", ""},
};

absl::string_view WithoutUnit(absl::string_view name) {
  for (const Unit& unit : kUnits) {
    if (absl::EndsWith(name, unit.suffix) && name.size() > unit.suffix.size()) {
      return name.substr(0, name.size() - unit.suffix.size());
    }
  }
  return name;
}

// The messages below `message` that have a field called `name`, as paths.
void FindPlaces(absl::string_view name, const pb::Descriptor* message, const std::string& path,
                std::vector<std::string>& places) {
  for (int i = 0; i < message->field_count(); ++i) {
    const pb::FieldDescriptor* field = message->field(i);
    if (field->name() == name) {
      places.push_back(path);
    }
    const v1::FieldForm& form = FormOf(field);
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE || form.document()) {
      continue;
    }
    const std::string below = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    if (!form.entries()) {
      FindPlaces(name, field->message_type(), below, places);
    } else if (const pb::FieldDescriptor* const value = field->message_type()->field(1);
               !FormOf(value).document()) {
      FindPlaces(name, value->message_type(), absl::StrCat(below, ".NAME"), places);
    }
  }
}

}  // namespace

bool HasComingFields(const pb::Descriptor* root) {
  return root == v1::JobSpec::descriptor() || root == v1::Policy::descriptor();
}

bool IsComingField(absl::string_view name) {
  return std::binary_search(kComingFields.begin(), kComingFields.end(), name);
}

std::string UnitOf(absl::string_view field) {
  for (const Unit& unit : kUnits) {
    if (absl::EndsWith(field, unit.suffix)) {
      return std::string(unit.words);
    }
  }
  return "";
}

std::string FieldAdvice(absl::string_view name, const pb::Descriptor* here,
                        const pb::Descriptor* root) {
  if (here == v1::JobSpec::descriptor()) {
    for (const OtherName& other : kOtherNames) {
      if (name == other.name) {
        return std::string(other.advice);
      }
    }
  }
  const absl::string_view stem = WithoutUnit(name);
  std::vector<std::string> fields;
  for (int i = 0; i < here->field_count(); ++i) {
    fields.push_back(here->field(i)->name());
    const absl::string_view field_stem = WithoutUnit(fields.back());
    if (field_stem != fields.back() &&
        (field_stem == stem || absl::StartsWith(field_stem, absl::StrCat(stem, "_")))) {
      return absl::StrCat("write ", fields.back(), ", a plain number", UnitOf(fields.back()));
    }
  }
  std::vector<std::string> places;
  FindPlaces(name, root, "", places);
  if (!places.empty()) {
    const bool top = std::find(places.begin(), places.end(), "") != places.end();
    return top ? "it belongs at the top level"
               : absl::StrCat("it belongs inside ", absl::StrJoin(places, " or "));
  }
  std::vector<std::string> candidates = fields;
  if (here == v1::JobSpec::descriptor()) {
    candidates.emplace_back(kSweepField);  // Only in the file, not in the message.
  }
  for (const absl::string_view coming : kComingFields) {
    if (HasComingFields(root)) {
      candidates.emplace_back(coming);
    }
  }
  if (const std::string nearest = SpellingSuggestion(name, candidates); !nearest.empty()) {
    return absl::StrCat("did you mean \"", nearest, "\"?",
                        IsComingField(nearest) ? " (not supported in this version)" : "");
  }
  return absl::StrCat("fields here: ", absl::StrJoin(fields, ", "));
}

}  // namespace wattle::formats
