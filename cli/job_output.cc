// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/job_output.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "cli/job_view.h"
#include "cli/labels.h"
#include "cli/table.h"
#include "nlohmann/json.hpp"

#include "base/status_macros.h"
#include "units/format.h"

namespace wattle::cli {
namespace {

using Json = nlohmann::json;

// The largest file that is read: texts and tables are far smaller, weights far larger.
constexpr int64_t kReadBytesMax = int64_t{64} << 20;
constexpr char kGenerations[] = "generations.jsonl";
constexpr char kMetrics[] = "metrics.json";

absl::Status Odd(absl::string_view path) {
  return absl::DataLossError(
      absl::StrCat(path,
                   ": not what such a job writes; pull the output to look at it: wattle model "
                   "pull job:ID/output DIRECTORY"));
}

// The text of a JSON value that is an integer or a string.
std::string TextOf(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) {
    return "";
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

absl::Status ParseGenerations(const std::string& lines, JobOutput* output) {
  for (const absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    const Json json = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("text") || !json.at("text").is_string()) {
      return Odd(kGenerations);
    }
    GeneratedText text;
    text.id = TextOf(json, "id");
    text.prompt = TextOf(json, "prompt");
    text.text = TextOf(json, "text");
    text.finish_reason = TextOf(json, "finish_reason");
    if (json.contains("generated_tokens") && json.at("generated_tokens").is_number_integer()) {
      text.generated_tokens = json.at("generated_tokens").get<int64_t>();
    }
    output->generations.push_back(std::move(text));
  }
  return absl::OkStatus();
}

absl::Status ParseMetrics(const std::string& text, JobOutput* output) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Odd(kMetrics);
  }
  for (const auto& [name, value] : json.items()) {
    if (value.is_number()) {
      output->metrics[name] = value.get<double>();
    }
  }
  return absl::OkStatus();
}

std::string Indented(const std::string& text) {
  std::string out;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::StrAppend(&out, "  ", Printable(line), "\n");
  }
  return out;
}

}  // namespace

absl::StatusOr<JobOutput> ParseJobOutput(const std::map<std::string, std::string>& text_by_path) {
  JobOutput output;
  for (const auto& [path, text] : text_by_path) {
    if (path == kGenerations) {
      WATTLE_RETURN_IF_ERROR(ParseGenerations(text, &output));
      output.json = text;
    } else if (path == kMetrics) {
      WATTLE_RETURN_IF_ERROR(ParseMetrics(text, &output));
      if (output.json.empty()) {
        output.json = text;
      }
    }
  }
  return output;
}

absl::StatusOr<JobOutput> ReadJobOutput(Client& client, const v1::Job& job) {
  if (job.output_artifact_id().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        job.job_id(), " has made nothing: it is ", Word(job.state()),
        IsTerminal(job.state()) ? absl::StrCat("; see why with wattle job show ", job.job_id())
                                : absl::StrCat("; wait for it: wattle job watch ", job.job_id())));
  }
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest,
                          client.Call(&ArtifactStub::GetManifest, job.output_artifact_id()));
  std::map<std::string, std::string> texts;
  for (const v1::ManifestFile& file : manifest.files()) {
    const bool wanted = file.path() == kGenerations || file.path() == kMetrics;
    if (wanted && file.size_bytes() <= kReadBytesMax) {
      WATTLE_ASSIGN_OR_RETURN(texts[file.path()], client.ReadArtifactFile(file));
    }
  }
  WATTLE_ASSIGN_OR_RETURN(JobOutput output, ParseJobOutput(texts));
  output.files.assign(manifest.files().begin(), manifest.files().end());
  return output;
}

std::string RenderJobOutput(const v1::Job& job, const JobOutput& output, const TextStyle& style) {
  std::string out;
  for (const GeneratedText& one : output.generations) {
    absl::StrAppend(&out, "prompt ", Printable(one.id), ": ", Printable(one.prompt), "\n",
                    Indented(one.text), "  (", one.generated_tokens, " tokens",
                    one.finish_reason.empty() ? "" : ", ", Printable(one.finish_reason), ")\n\n");
  }
  if (!output.metrics.empty()) {
    Table table({{"metric"}, {"value", Align::kRight}});
    for (const auto& [name, value] : output.metrics) {
      table.AddRow({name, absl::StrFormat("%.6g", value)});
    }
    absl::StrAppend(&out, table.Render(style));
  }
  if (!output.files.empty() && output.generations.empty()) {
    Table table({{"file", Align::kLeft, true}, {"size", Align::kRight}});
    for (const v1::ManifestFile& file : output.files) {
      table.AddRow({file.path(), FormatBytes(file.size_bytes())});
    }
    absl::StrAppend(&out, out.empty() ? "" : "\n", table.Render(style),
                    "\nfetch them: wattle model pull job:", job.job_id(), "/output DIRECTORY\n");
  }
  return out;
}

}  // namespace wattle::cli
