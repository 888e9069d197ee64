// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/job_sweep.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include "base/spelling_suggestion.h"
#include "base/status_macros.h"
#include "formats/job_document_internal.h"
#include "formats/json.h"
#include "formats/yaml_node.h"

namespace wattle::formats {
namespace {

namespace pb = google::protobuf;

// More jobs than a fleet completes in a day are more likely a mistake in a list than intended.
constexpr size_t kJobsMax = 64;
constexpr size_t kNameBytesMax = 80;  // The coordinator's limit.

// Path from the top of a job.
using FieldPath = std::vector<const pb::FieldDescriptor*>;

struct SweptField {
  std::string word;  // as the file has it: "rank", "lora.rank" or "finetune.lora.rank"
  FieldPath path;
  int line = 0;
};

struct Setting {
  SweptField field;
  YAML::Node value;
};
// The values that distinguish one job from the others.
using Settings = std::vector<Setting>;

std::string DottedPath(const FieldPath& path) {
  return absl::StrJoin(path, ".", [](std::string* out, const pb::FieldDescriptor* field) {
    out->append(field->name());
  });
}

int LineOf(const YAML::Node& node) {
  return std::max(node.Mark().line, 0) + 1;
}

// All fields that a job like `message` may have: sections and the fields within them.
void CollectFields(const pb::Message& message, const FieldPath& above,
                   std::vector<FieldPath>* found) {
  const pb::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const pb::FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->real_containing_oneof() != nullptr && !reflection.HasField(message, field)) {
      continue;  // Belongs to another kind of job.
    }
    FieldPath path = above;
    path.push_back(field);
    if (field->message_type() != nullptr && !field->is_repeated()) {
      CollectFields(reflection.GetMessage(message, field), path, found);
    }
    found->push_back(std::move(path));
  }
}

bool EndsWithNames(const FieldPath& path, const std::vector<std::string>& names) {
  return path.size() >= names.size() &&
         std::equal(names.rbegin(), names.rend(), path.rbegin(),
                    [](const std::string& name, const pb::FieldDescriptor* field) {
                      return field->name() == name;
                    });
}

// Whether the document itself sets the field.
bool StandsIn(const YAML::Node& node, const FieldPath& path, size_t depth) {
  if (depth == path.size()) {
    return true;
  }
  if (!node.IsMap() || !node[path[depth]->name()]) {
    return false;
  }
  return StandsIn(node[path[depth]->name()], path, depth + 1);
}

// Reads the section `sweep` of one document.
class SweepReader {
 public:
  // base: the job that `document` describes without its sweep.
  SweepReader(absl::string_view file, const YAML::Node& document, const v1::JobSpec& base)
      : file_(file), document_(document), base_(base) {
    CollectFields(base, {}, &fields_);
  }

  absl::StatusOr<JobsOfFile> Read(const YAML::Node& sweep) const;

 private:
  [[nodiscard]] absl::Status Error(int line, absl::string_view field,
                                   absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(file_, ":", line, ": ", kSweepField,
                                                   field.empty() ? "" : ".",
                                                   Printable(std::string(field)), ": ", what));
  }
  [[nodiscard]] absl::StatusOr<SweptField> FieldOf(const YAML::Node& key) const;
  [[nodiscard]] absl::Status CheckField(const SweptField& field) const;
  [[nodiscard]] absl::StatusOr<std::vector<Setting>> SettingsOf(const YAML::Node& map) const;
  [[nodiscard]] absl::StatusOr<std::vector<Settings>> Product(const YAML::Node& map) const;
  [[nodiscard]] absl::StatusOr<std::vector<Settings>> Listed(const YAML::Node& list) const;
  [[nodiscard]] absl::Status Apply(const Setting& setting, v1::JobSpec* spec) const;
  [[nodiscard]] absl::Status NameJobs(const std::vector<Settings>& all, int line,
                                      std::vector<v1::JobSpec>* jobs) const;

  absl::string_view file_;
  const YAML::Node& document_;
  const v1::JobSpec& base_;
  std::vector<FieldPath> fields_;
};

absl::StatusOr<SweptField> SweepReader::FieldOf(const YAML::Node& key) const {
  if (!key.IsScalar()) {
    return Error(LineOf(key), "", "a field's name is no text; wants the path of a field");
  }
  SweptField field{key.Scalar(), {}, LineOf(key)};
  const std::vector<std::string> names = absl::StrSplit(field.word, '.');
  // The fields nearest to the top of the file.
  std::vector<FieldPath> nearest;
  std::vector<std::string> known;
  for (const FieldPath& path : fields_) {
    known.push_back(path.back()->name());
    if (!EndsWithNames(path, names) || (!nearest.empty() && path.size() > nearest[0].size())) {
      continue;
    }
    if (!nearest.empty() && path.size() < nearest[0].size()) {
      nearest.clear();
    }
    nearest.push_back(path);
  }
  if (nearest.empty()) {
    const std::string meant = SpellingSuggestion(names.back(), known);
    return Error(field.line, field.word,
                 meant.empty() ? "no such field; wants a field of this kind of job by its path in "
                                 "the file, such as priority"
                               : absl::StrCat("no such field; did you mean \"", meant, "\"?"));
  }
  if (nearest.size() > 1) {
    std::vector<std::string> places;
    for (const FieldPath& path : nearest) {
      places.push_back(DottedPath(path));
    }
    return Error(field.line, field.word,
                 absl::StrCat("names several fields; write one of ", absl::StrJoin(places, ", ")));
  }
  field.path = nearest[0];
  WATTLE_RETURN_IF_ERROR(CheckField(field));
  return field;
}

absl::Status SweepReader::CheckField(const SweptField& field) const {
  const pb::FieldDescriptor* last = field.path.back();
  if (last->is_repeated()) {
    return Error(field.line, field.word, "is a list; wants a field of a single value");
  }
  if (last->message_type() != nullptr) {
    return Error(field.line, field.word,
                 absl::StrCat("has fields of its own; write one of them, such as ", field.word, ".",
                              last->message_type()->field(0)->name()));
  }
  if (field.path.size() == 1 && last->name() == "name") {
    return Error(field.line, field.word,
                 "the jobs of a sweep are named by their values; write the name alone above");
  }
  if (StandsIn(document_, field.path, 0)) {
    return Error(field.line, field.word,
                 absl::StrCat("the file has a value for ", DottedPath(field.path),
                              " too; remove one of them"));
  }
  return absl::OkStatus();
}

// The fields of one map; their values are not checked.
absl::StatusOr<std::vector<Setting>> SweepReader::SettingsOf(const YAML::Node& map) const {
  if (!map.IsMap() || map.size() == 0) {
    return Error(LineOf(map), "", "wants fields with their values, such as {priority: [1, 2]}");
  }
  std::vector<Setting> settings;
  std::map<FieldPath, int> lines;
  for (const auto& entry : map) {
    WATTLE_ASSIGN_OR_RETURN(SweptField field, FieldOf(entry.first));
    const auto [first, is_new] = lines.try_emplace(field.path, field.line);
    if (!is_new) {
      return Error(field.line, field.word,
                   absl::StrCat("stands twice, also in line ", first->second, "; remove one"));
    }
    settings.push_back({std::move(field), entry.second});
  }
  return settings;
}

// Every combination of the values.
absl::StatusOr<std::vector<Settings>> SweepReader::Product(const YAML::Node& map) const {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<Setting> axes, SettingsOf(map));
  std::vector<Settings> all = {{}};
  for (const Setting& axis : axes) {
    const std::string& word = axis.field.word;
    if (!axis.value.IsSequence() || axis.value.size() == 0) {
      return Error(axis.field.line, word, "wants a list of at least one value; write [1, 2]");
    }
    if (all.size() * axis.value.size() > kJobsMax) {  // No overflow: a file is at most 1 MiB.
      return Error(axis.field.line, word,
                   absl::StrCat("makes ", all.size() * axis.value.size(),
                                " jobs with those above; wants at most ", kJobsMax));
    }
    std::vector<Settings> longer;
    for (const Settings& settings : all) {
      for (const YAML::Node& value : axis.value) {
        longer.push_back(settings);
        longer.back().push_back({axis.field, value});
      }
    }
    all = std::move(longer);
  }
  return all;
}

absl::StatusOr<std::vector<Settings>> SweepReader::Listed(const YAML::Node& list) const {
  if (list.size() == 0 || list.size() > kJobsMax) {
    return Error(LineOf(list), "",
                 absl::StrCat("has ", list.size(), " jobs; wants 1 to ", kJobsMax));
  }
  std::vector<Settings> all;
  for (const YAML::Node& element : list) {
    WATTLE_ASSIGN_OR_RETURN(Settings settings, SettingsOf(element));
    all.push_back(std::move(settings));
  }
  return all;
}

// The job file reader parses the value, so that types, units and advice are the same.
absl::Status SweepReader::Apply(const Setting& setting, v1::JobSpec* spec) const {
  if (!setting.value.IsScalar()) {
    return Error(std::max(setting.field.line, LineOf(setting.value)), setting.field.word,
                 "wants single values");
  }
  YAML::Node node = setting.value;
  for (auto field = setting.field.path.rbegin(); field != setting.field.path.rend(); ++field) {
    YAML::Node outer(YAML::NodeType::Map);
    outer[(*field)->name()] = node;
    node.reset(outer);
  }
  v1::JobSpec read;
  WATTLE_RETURN_IF_ERROR(ReadMessage(node, file_, read));
  spec->MergeFrom(read);  // CheckField made sure that the job has no value there yet.
  return absl::OkStatus();
}

// "fleet-qa learning_rate=1e-4 rank=4"; "fleet-qa 1e-4 4" for all jobs if that is too long for any
// of them.
absl::Status SweepReader::NameJobs(const std::vector<Settings>& all, int line,
                                   std::vector<v1::JobSpec>* jobs) const {
  const std::string stem =
      !base_.name().empty()
          ? base_.name()
          : base_.GetReflection()
                ->GetOneofFieldDescriptor(base_, v1::JobSpec::descriptor()->FindOneofByName("kind"))
                ->name();
  std::string longest;
  for (const bool with_fields : {true, false}) {
    longest.clear();
    for (size_t i = 0; i < all.size(); ++i) {
      std::string name = stem;
      for (const Setting& setting : all[i]) {
        absl::StrAppend(&name, " ", with_fields ? absl::StrCat(setting.field.word, "=") : "",
                        setting.value.Scalar());
      }
      longest = name.size() > longest.size() ? name : longest;
      (*jobs)[i].set_name(std::move(name));
    }
    if (longest.size() <= kNameBytesMax) {
      return absl::OkStatus();
    }
  }
  return Error(line, "",
               absl::StrCat("the name \"", Printable(longest), "\" has ", longest.size(),
                            " characters; wants at most ", kNameBytesMax,
                            ", so shorten name or the values"));
}

absl::StatusOr<JobsOfFile> SweepReader::Read(const YAML::Node& sweep) const {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<Settings> all,
                          sweep.IsSequence() ? Listed(sweep) : Product(sweep));
  JobsOfFile made;
  std::map<std::string, size_t> known;
  for (const Settings& settings : all) {
    v1::JobSpec spec = base_;
    for (const Setting& setting : settings) {
      WATTLE_RETURN_IF_ERROR(Apply(setting, &spec));
      const std::string path = DottedPath(setting.field.path);
      if (std::find(made.swept.begin(), made.swept.end(), path) == made.swept.end()) {
        made.swept.push_back(path);
      }
    }
    const auto [first, is_new] = known.try_emplace(spec.SerializeAsString(), made.jobs.size());
    if (!is_new) {
      return Error(LineOf(sweep), "",
                   absl::StrCat("jobs ", first->second + 1, " and ", made.jobs.size() + 1,
                                " are the same; wants values that differ"));
    }
    made.jobs.push_back(std::move(spec));
  }
  WATTLE_RETURN_IF_ERROR(NameJobs(all, LineOf(sweep), &made.jobs));
  return made;
}

// Takes the sweeps out of the document; empty if there are none.
absl::StatusOr<std::vector<YAML::Node>> TakeSweep(YAML::Node& document, absl::string_view file) {
  std::vector<YAML::Node> sweeps;
  for (const auto& entry : document) {
    if (entry.first.IsScalar() && entry.first.Scalar() == kSweepField) {
      sweeps.push_back(entry.second);
      if (sweeps.size() > 1) {
        return absl::InvalidArgumentError(absl::StrCat(file, ":", LineOf(entry.first), ": ",
                                                       kSweepField, ": stands twice; remove one"));
      }
    }
  }
  document.remove(kSweepField);
  return sweeps;
}

absl::StatusOr<JobsOfFile> JobsOf(YAML::Node document, absl::string_view file) {
  std::vector<YAML::Node> sweeps;
  if (document.IsMap()) {
    WATTLE_ASSIGN_OR_RETURN(sweeps, TakeSweep(document, file));
  }
  WATTLE_ASSIGN_OR_RETURN(v1::JobSpec spec, ReadJobDocument(document, file));
  if (sweeps.empty()) {
    return JobsOfFile{{std::move(spec)}, {}};
  }
  return SweepReader(file, document, spec).Read(sweeps.front());
}

}  // namespace

absl::StatusOr<JobsOfFile> ParseJobs(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const YAML::Node document, LoadJobDocument(text, file));
  try {
    return JobsOf(document, file);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", std::max(error.mark.line, 0) + 1,
                                                   ": not valid YAML: ", Printable(error.msg)));
  }
}

}  // namespace wattle::formats
