// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/job_override.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/exit_code.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "base/status_macros.h"
#include "formats/job_file.h"
#include "formats/job_sweep.h"
#include "proto/kind_name.h"

namespace wattle::cli {
namespace {

namespace pb = google::protobuf;

// The fields along `path`; fewer than `path` has names if a name is unknown.
std::vector<const pb::FieldDescriptor*> Resolve(const std::vector<std::string>& path) {
  std::vector<const pb::FieldDescriptor*> fields;
  const pb::Descriptor* type = v1::JobSpec::descriptor();
  for (const std::string& name : path) {
    const pb::FieldDescriptor* field = type == nullptr ? nullptr : type->FindFieldByName(name);
    if (field == nullptr) {
      break;
    }
    fields.push_back(field);
    type = field->message_type();  // nullptr if the field is not a message
  }
  return fields;
}

// The value as YAML: quoted for a text field, unchanged for a number or a list.
std::string AsYaml(const std::string& value, const pb::FieldDescriptor* field) {
  if (field == nullptr || field->is_repeated() ||
      field->cpp_type() != pb::FieldDescriptor::CPPTYPE_STRING) {
    return value;
  }
  return absl::StrCat("\"", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

// The text of a job file with only this field and the kind of the job, for the reader.
std::string OneFieldFile(const std::vector<std::string>& path, const std::string& value,
                         const std::string& kind) {
  std::string text;
  std::string indent;
  for (size_t i = 0; i < path.size(); ++i) {
    absl::StrAppend(&text, indent, path[i], ":", i + 1 == path.size() ? " " + value : "", "\n");
    indent += "  ";
  }
  if (path.front() != kind) {
    absl::StrAppend(&text, kind, ": {}\n");
  }
  return text;
}

// Copies the field at the end of `fields`, even if its value is zero.
void CopyField(const std::vector<const pb::FieldDescriptor*>& fields, const pb::Message& from,
               pb::Message* to) {
  const pb::Message* source = &from;
  pb::Message* target = to;
  for (size_t i = 0; i + 1 < fields.size(); ++i) {
    source = &source->GetReflection()->GetMessage(*source, fields[i]);
    target = target->GetReflection()->MutableMessage(target, fields[i]);
  }
  // The source has no other field, so clearing and merging copies only this field.
  target->GetReflection()->ClearField(target, fields.back());
  target->MergeFrom(*source);
}

void AppendPaths(const pb::Descriptor* type, const std::string& prefix,
                 std::vector<std::string>* paths) {
  for (int i = 0; i < type->field_count(); ++i) {
    const pb::FieldDescriptor* field = type->field(i);
    const std::string path = absl::StrCat(prefix, field->name());
    if (field->message_type() != nullptr) {
      AppendPaths(field->message_type(), path + ".", paths);
    } else {
      paths->push_back(path);
    }
  }
}

struct JobText {
  std::string file;  // for messages
  std::string text;
};

absl::StatusOr<JobText> ReadText(const std::string& path, std::istream& input) {
  if (path == "-") {
    return JobText{"standard input", {std::istreambuf_iterator<char>(input), {}}};
  }
  auto text = formats::ReadJobText(path);
  if (!text.ok() && absl::StrContains(text.status().message(), "not a regular file")) {
    return absl::InvalidArgumentError(
        absl::StrCat(text.status().message(), ", or - for the standard input"));
  }
  WATTLE_RETURN_IF_ERROR(AsBadInput(text.status()));
  return JobText{path, *std::move(text)};
}

// A sweep's values come from the file, and so do the names of its jobs, which state these values.
absl::Status CheckNotSwept(const std::string& assignment, const std::string& file,
                           const std::vector<std::string>& swept) {
  const std::string field = assignment.substr(0, assignment.find('='));
  const bool is_swept = std::find(swept.begin(), swept.end(), field) != swept.end();
  if (!is_swept && (swept.empty() || field != "name")) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--set ", assignment, ": the jobs of the sweep in ", file, " differ in ",
      is_swept ? "this field" : "their names, which tell the values", "; change the file"));
}

}  // namespace

absl::Status ApplyOverride(const std::string& assignment, v1::JobSpec* spec) {
  const std::string label = absl::StrCat("--set ", assignment);
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(label, ": wants field=value, for example --set finetune.seed=2"));
  }
  const std::vector<std::string> path = absl::StrSplit(assignment.substr(0, equals), '.');
  const auto fields = Resolve(path);
  const std::string kind = KindName(*spec);
  if (!fields.empty() && fields.front()->real_containing_oneof() != nullptr &&
      fields.front()->name() != kind) {
    return absl::InvalidArgumentError(absl::StrCat(label, ": the file has ", kind, ", not ",
                                                   fields.front()->name(), "; set a field of ",
                                                   kind));
  }
  const std::string text = OneFieldFile(
      path,
      AsYaml(assignment.substr(equals + 1), fields.size() == path.size() ? fields.back() : nullptr),
      kind);
  const auto parsed = formats::ParseJobFile(text, label);
  if (!parsed.ok()) {  // without the line number of a file that does not exist
    std::string message(parsed.status().message());
    for (size_t line = 1; line <= path.size(); ++line) {
      message = absl::StrReplaceAll(
          message, {{absl::StrCat(label, ":", line, ":"), absl::StrCat(label, ":")}});
    }
    return absl::Status(parsed.status().code(), message);
  }
  CopyField(fields, *parsed, spec);
  return absl::OkStatus();
}

absl::StatusOr<v1::JobSpec> ReadJob(const std::string& path,
                                    const std::vector<std::string>& assignments,
                                    std::istream& input) {
  WATTLE_ASSIGN_OR_RETURN(const JobText text, ReadText(path, input));
  absl::StatusOr<v1::JobSpec> spec = formats::ParseJobFile(text.text, text.file);
  WATTLE_RETURN_IF_ERROR(AsBadInput(spec.status()));
  for (const std::string& assignment : assignments) {
    WATTLE_RETURN_IF_ERROR(ApplyOverride(assignment, &*spec));
  }
  return spec;
}

absl::StatusOr<std::vector<v1::JobSpec>> ReadJobs(const std::string& path,
                                                  const std::vector<std::string>& assignments,
                                                  std::istream& input) {
  WATTLE_ASSIGN_OR_RETURN(const JobText text, ReadText(path, input));
  absl::StatusOr<formats::JobsOfFile> read = formats::ParseJobs(text.text, text.file);
  WATTLE_RETURN_IF_ERROR(AsBadInput(read.status()));
  for (const std::string& assignment : assignments) {
    WATTLE_RETURN_IF_ERROR(CheckNotSwept(assignment, text.file, read->swept));
    for (v1::JobSpec& spec : read->jobs) {
      WATTLE_RETURN_IF_ERROR(ApplyOverride(assignment, &spec));
    }
  }
  return std::move(read->jobs);
}

std::vector<std::string> OverridePaths() {
  std::vector<std::string> paths;
  AppendPaths(v1::JobSpec::descriptor(), "", &paths);
  return paths;
}

}  // namespace wattle::cli
