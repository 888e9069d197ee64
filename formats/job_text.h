// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Writes a job as the text of a job file; job_file.h reads job files. Belongs to the target
// wattle::job_file. Thread-safe.
#ifndef WATTLE_FORMATS_JOB_TEXT_H_
#define WATTLE_FORMATS_JOB_TEXT_H_

#include <string>

#include "wattle/v1/spec.pb.h"

namespace wattle::formats {

// Returns YAML that ParseJobFile reads as the same job. The YAML has the fields that are set, in
// the order of the .proto file, with the names and words of job files.
std::string JobFileText(const v1::JobSpec& spec);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JOB_TEXT_H_
