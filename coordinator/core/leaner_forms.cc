// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/core.h"
#include "coordinator/core/job_kinds_internal.h"
#include "coordinator/core/leaner_forms_internal.h"

namespace wattle::core {

namespace {

using Forms = std::vector<ChangedSpec> (*)(const v1::JobSpec& spec);

// Drops forms that validation refuses.
std::vector<ChangedSpec> ValidForms(const v1::JobSpec& spec, Forms KindPart::*of_kind) {
  const KindPart* const part = KindPartOf(spec);
  if (part == nullptr || part->*of_kind == nullptr) {
    return {};
  }
  std::vector<ChangedSpec> forms = (part->*of_kind)(spec);
  std::erase_if(forms, [](const ChangedSpec& form) {
    return !ValidateSpec(form.spec, /*files_needed=*/false).ok();
  });
  return forms;
}

}  // namespace

std::vector<ChangedSpec> LeanerForms(const v1::JobSpec& spec) {
  return ValidForms(spec, &KindPart::leaner_forms);
}

std::vector<ChangedSpec> OtherBatches(const v1::JobSpec& spec) {
  return ValidForms(spec, &KindPart::other_batches);
}

std::vector<ChangedSpec> QuantizedForms(const v1::JobSpec& spec) {
  return ValidForms(spec, &KindPart::quantized_forms);
}

}  // namespace wattle::core
