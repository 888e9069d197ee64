// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/core.h"
#include "coordinator/core/job_kinds_internal.h"
#include "coordinator/core/leaner_forms_internal.h"

namespace wattle::core {

std::vector<LeanerSpec> LeanerForms(const v1::JobSpec& spec) {
  const KindPart* const part = KindPartOf(spec);
  if (part == nullptr || part->leaner_forms == nullptr) {
    return {};
  }
  std::vector<LeanerSpec> forms = part->leaner_forms(spec);
  // A form that validation refuses is none.
  std::erase_if(forms, [](const LeanerSpec& form) {
    return !ValidateSpec(form.spec, /*files_needed=*/false).ok();
  });
  return forms;
}

}  // namespace wattle::core
