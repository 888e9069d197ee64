// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a job made, as text: the small files of its output, read without fetching the weights beside
// them. One thread.
#ifndef WATTLE_CLI_JOB_OUTPUT_H_
#define WATTLE_CLI_JOB_OUTPUT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/text_style.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/job.pb.h"

namespace wattle::cli {

struct GeneratedText {
  std::string id;
  std::string prompt;
  std::string text;
  int64_t generated_tokens = 0;
  std::string finish_reason;
};

struct JobOutput {
  std::vector<GeneratedText> generations;
  std::map<std::string, double> metrics;  // by name
  std::vector<v1::ManifestFile> files;    // all of them, also those that were not read
  std::string json;                       // the job's own JSON: its lines of text, else its metrics
};

// Errors: kFailedPrecondition for a job that has made nothing (yet), those of the calls, kDataLoss
// for a file that is not what its kind of job writes.
absl::StatusOr<JobOutput> ReadJobOutput(Client& client, const v1::Job& job);

// The same from the files' text, by path; for tests.
absl::StatusOr<JobOutput> ParseJobOutput(const std::map<std::string, std::string>& text_by_path);

std::string RenderJobOutput(const v1::Job& job, const JobOutput& output, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_OUTPUT_H_
