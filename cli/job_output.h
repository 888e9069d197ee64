// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The output of a job as text. Reads only the small files of the output and does not fetch the
// weights. Use it from one thread.
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
  std::vector<v1::ManifestFile> files;    // every file of the output, also those that were not read
  std::string json;  // the job's own JSON: the generated texts, else the metrics
};

// Errors: kFailedPrecondition for a job that has no output (yet); kDataLoss for a file that this
// kind of job does not write; those of the calls.
absl::StatusOr<JobOutput> ReadJobOutput(Client& client, const v1::Job& job);

// Parses the text of the files, by path. For tests.
absl::StatusOr<JobOutput> ParseJobOutput(const std::map<std::string, std::string>& text_by_path);

std::string RenderJobOutput(const v1::Job& job, const JobOutput& output, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_OUTPUT_H_
