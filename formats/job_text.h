// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The other direction of job_file.h: a job as the text of a job file. In the target
// wattle::job_file. Thread-safe.
#ifndef WATTLE_FORMATS_JOB_TEXT_H_
#define WATTLE_FORMATS_JOB_TEXT_H_

#include <string>

#include "wattle/v1/spec.pb.h"

namespace wattle::formats {

// YAML that ParseJobFile reads back as the same job: the fields that are set, in the order of the
// .proto file, with the names and words of job files.
std::string JobFileText(const v1::JobSpec& spec);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JOB_TEXT_H_
